"""Reinstallations are authorised; successes are told."""

from typing import Any

from django.db import migrations, models
from django.db.models import F


def count_as_told(apps: Any, _editor: Any) -> None:
    """Spare operators the news of set-ups that ended long ago."""
    rows = apps.get_model("infra", "Provisioning").objects.exclude(finished_at=None)
    rows.update(notified_at=F("finished_at"))


class Migration(migrations.Migration):
    """Who said that a server may be erased, of which machine, until when; and whether a success was told."""

    dependencies = [
        ("infra", "0007_projects_keep_their_ports"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="provisioning",
            name="provisioning_reinstall_authorized",
        ),
        migrations.AddField(
            model_name="provisioning",
            name="authorization_expires_at",
            field=models.DateTimeField(
                blank=True, help_text="What has not begun by then does not begin any more.", null=True
            ),
        ),
        migrations.AddField(
            model_name="provisioning",
            name="authorized_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="provisioning",
            name="confirmed",
            field=models.JSONField(
                blank=True, default=dict, help_text="The machine and the projects that this person was shown."
            ),
        ),
        migrations.AddField(
            model_name="provisioning",
            name="notified_at",
            field=models.DateTimeField(
                blank=True, help_text="When operators were told that it ended well.", null=True
            ),
        ),
        migrations.AddField(
            model_name="provisioning",
            name="reinstall_accepted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="server",
            name="provider_name",
            field=models.CharField(
                blank=True, help_text="What the provider's listing calls it.", max_length=100
            ),
        ),
        migrations.AddConstraint(
            model_name="provisioning",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("force_reinstall", False),
                    models.Q(
                        ("authorization_expires_at__isnull", False),
                        ("authorized_at__isnull", False),
                        ("authorized_by_id__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="provisioning_reinstall_authorized",
            ),
        ),
        migrations.RunPython(count_as_told, migrations.RunPython.noop),
    ]
