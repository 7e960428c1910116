"""Going back to an earlier release: a deployment task like any other, of a commit that was live before."""

from uuid import UUID

from django.db import transaction

from apps.errors import Conflict
from apps.graph import services
from apps.infra import selectors as infra
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.projects import services as projects
from apps.projects.models import TaskType


class NothingToRollBackTo(Conflict):
    """The project has no earlier release to go back to."""

    code = "rollback_impossible"


def find_earlier(release: ServiceDeployment) -> ServiceDeployment | None:
    """Return the release to go back to: the one before a live one, or an earlier one itself; or None."""
    if release.live_at is None:
        return None
    if release.status != DeploymentStatus.LIVE:
        return release
    earlier = ServiceDeployment.objects.filter(
        project_id=release.project_id, service_name=release.service_name, live_at__lt=release.live_at
    )
    # Several services of one project are released by one task: that is one release.
    return earlier.exclude(task_id=release.task_id).order_by("-live_at").first()


@transaction.atomic
def request_rollback(*, deployment_id: UUID, requested_by_id: int | None) -> UUID:
    """Go back from a live release to the one before it, or to an earlier release.

    Args:
        deployment_id: the live release, or the earlier one that is wanted.
        requested_by_id: who asks.

    Returns:
        The id of the deployment task, which is started.

    Raises:
        NotFound: there is no such release.
        NothingToRollBackTo: there is no earlier one, or it was never live.
        ProjectArchived: its project is no longer worked on.

    """
    release = infra.get_deployment(deployment_id=deployment_id)
    earlier = find_earlier(release)
    if earlier is None:
        raise NothingToRollBackTo()
    task_id = projects.create_task(
        project_id=release.project_id,
        type=TaskType.DEPLOY,
        spec="",
        requested_by_id=requested_by_id,
        rollback_to=earlier.pk,
    )
    services.start_task(task_id=task_id)
    return task_id
