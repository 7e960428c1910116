"""How a dispatched workflow ends without a release, and whose move it is then."""

from dataclasses import replace
from typing import Final

from apps.errors import OrchestratorError
from apps.failures import Ended, Failure, FailureKind
from apps.projects.endings import failure_of
from apps.projects.forge.hosting import RunStatus, WorkflowNotFound

STAGE: Final = "workflow"


class DispatchEnded(Ended):
    """The workflow did not bring the release about."""

    code = "workflow_ended"


class WorkflowFailed(DispatchEnded):
    """The deploy workflow failed."""

    code = "workflow_failed"


class WorkflowTimedOut(DispatchEnded):
    """The deploy workflow ran into a time limit of the git host."""

    code = "workflow_timed_out"


class WorkflowCanceled(DispatchEnded):
    """The deploy workflow was canceled at the git host, by a person or its time limit: see its log there."""

    code = "workflow_canceled"
    kind = FailureKind.USER


class WorkflowAwaitsApproval(DispatchEnded):
    """Somebody has to approve the deployment at the git host; then deploy again."""

    code = "workflow_action_required"
    kind = FailureKind.USER


class WorkflowBroken(DispatchEnded):
    """The git host could not start the deploy workflow: its file cannot be used as it is."""

    code = "workflow_broken"
    kind = FailureKind.USER
    retryable = False


class WorkflowNotStarted(DispatchEnded):
    """The git host never ran the deploy workflow: see that Actions is enabled and has minutes left."""

    code = "workflow_not_started"


class WorkflowLate(DispatchEnded):
    """The deploy workflow did not end in time and was canceled: see its log, then deploy again."""

    code = "deploy_timeout"


class BranchMovedOn(DispatchEnded):
    """The branch moved while the deployment was started: the workflow would not be that of the commit."""

    code = "deploy_branch_moved"


class SecretsLost(DispatchEnded):
    """The git host has lost secrets that only it had; give them again and deploy again."""

    code = "secret_lost"
    kind = FailureKind.USER


class BotTokenRefused(DispatchEnded):
    """Telegram does not know the bot's token; give another one and deploy again."""

    code = "bot_token_refused"
    kind = FailureKind.USER


class HostingMissing(DispatchEnded):
    """The git host of this project runs no workflows."""

    code = "hosting_missing"
    retryable = False


ENDS: Final[dict[RunStatus, type[DispatchEnded]]] = {
    RunStatus.FAILED: WorkflowFailed,
    RunStatus.CANCELED: WorkflowCanceled,
    RunStatus.TIMED_OUT: WorkflowTimedOut,
    RunStatus.ACTION_REQUIRED: WorkflowAwaitsApproval,
    RunStatus.BROKEN: WorkflowBroken,
}


def record_of(error: OrchestratorError) -> Failure:
    """Return the record of what ended a dispatch."""
    failure = failure_of(error, stage=STAGE)
    if isinstance(error, WorkflowNotFound):
        hint = "Look at deploy in project.yaml and at .github/workflows."
        return replace(failure, message=f"{failure.message} {hint}")
    return failure
