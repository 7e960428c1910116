"""What a workflow's end means for its release when no run is there to say it.

A run may end before the workflow it started: canceled, late, crashed. The
release's row goes on fencing the project, and is settled from here as soon as
the git host says that the workflow has ended.
"""

from uuid import UUID

from apps.graph import deploy_faults
from apps.graph.models import Run, RunStatus
from apps.infra import rollouts
from apps.infra.models import DeploymentStatus, DeploymentTarget, ServiceDeployment
from apps.projects import selectors as projects
from apps.projects.models import Dispatch

_OPEN = (DeploymentStatus.PENDING, DeploymentStatus.INSTALLING, DeploymentStatus.CANCELING)
#: Runs that settle what they hold themselves.
_AT_WORK = (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING)


def find_unsettled() -> list[UUID]:
    """Return the tasks with an unsettled rollout that no run looks after."""
    rows = ServiceDeployment.objects.filter(target=DeploymentTarget.WORKFLOW, status__in=_OPEN)
    task_ids = {task_id for task_id in rows.values_list("task_id", flat=True) if task_id is not None}
    if not task_ids:
        return []
    looked_after = Run.objects.filter(task_id__in=task_ids, status__in=_AT_WORK)
    return sorted(task_ids - set(looked_after.values_list("task_id", flat=True)))


def settle(task_id: UUID) -> None:
    """Report the end of the workflows of a task that nobody waits for; harmless to repeat."""
    rows = ServiceDeployment.objects.filter(
        task_id=task_id, target=DeploymentTarget.WORKFLOW, status__in=_OPEN
    )
    for deployment_id in rows.values_list("pk", flat=True):
        dispatches = Dispatch.objects.filter(deployment_id=deployment_id)
        if dispatches.exclude(status__in=Dispatch.final_statuses()).exists():
            continue
        last = dispatches.order_by("-created_at").values_list("pk", flat=True).first()
        if last is None:
            rollouts.report_end(deployment_id=deployment_id)
        else:
            _report(deployment_id, last)


def _report(deployment_id: UUID, dispatch_id: UUID) -> None:
    outcome = projects.get_dispatch_outcome(dispatch_id=dispatch_id)
    if outcome.status == "succeeded":
        # It went through before the word reached it: then this is the release there is.
        rollouts.report_success(
            deployment_id=deployment_id,
            url=outcome.url,
            images=outcome.images,
            evidence={"run": outcome.run_url, "bots": outcome.bots},
        )
        return
    failure, _ = deploy_faults.failure_of_workflow(outcome)
    rollouts.report_failure(deployment_id=deployment_id, failure=failure)
