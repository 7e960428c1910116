"""Projects on this machine keep one port; those that are live keep the one that people know."""

from typing import Any

from django.db import migrations, models
from django.db.models import F


def keep_the_ports_that_people_know(apps: Any, _editor: Any) -> None:
    """Make the port of each live release its project's, and give the release another one to move to.

    Its service is started anew there, under another name, at the next look; the one that runs is ended then.
    """
    allocations = apps.get_model("infra", "PortAllocation").objects
    releases = apps.get_model("infra", "ServiceDeployment").objects
    live = allocations.filter(
        deployment__status="live",
        deployment__target="process",
        deployment__kind="web",
        server__kind="local",
    )
    for known in live.select_related("server", "deployment"):
        taken = set(allocations.filter(server=known.server).values_list("port", flat=True))
        ports = range(known.server.port_range_start, known.server.port_range_end + 1)
        free = next((port for port in ports if port not in taken), None)
        if free is None:
            continue  # it stays where it is, and its next release gets a port of its project's own
        release = known.deployment
        allocations.filter(pk=known.pk).update(deployment=None, role=release.service_name[:40])
        allocations.create(
            server=known.server,
            port=free,
            project_id=known.project_id,
            owner_id=known.owner_id,
            service_name=known.service_name,
            deployment=release,
        )
        releases.filter(pk=release.pk).update(starts=F("starts") + 1)


class Migration(migrations.Migration):
    """When a release answered, and the ports of those that are live."""

    dependencies = [
        ("infra", "0006_deployments_are_probed"),
    ]

    operations = [
        migrations.AddField(
            model_name="servicedeployment",
            name="answered_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When it answered at its own port; its project's leads to it since.",
                null=True,
            ),
        ),
        migrations.RunPython(keep_the_ports_that_people_know, migrations.RunPython.noop),
    ]
