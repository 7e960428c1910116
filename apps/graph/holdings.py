"""What a run holds outside of itself, found by the rows the lower apps wrote.

Not by the run's own state: a process may die after a row was written and before
the state was saved, and a cancel must find that row all the same.
"""

from collections.abc import Iterator

from django.db.models import QuerySet

from apps.errors import Conflict
from apps.graph import rollouts
from apps.graph.models import Question, QuestionStatus, Run
from apps.graph.signals import announce, question_changed
from apps.graph.state import Wait
from apps.infra import selectors as infra_selectors
from apps.infra import services as infra
from apps.infra.models import ServiceDeployment
from apps.projects import services as projects
from apps.projects.models import Dispatch, MergeRequest, MergeRequestStatus
from apps.workers import services as workers
from apps.workers.models import Verification, Worker

#: What a withdrawal still reaches; a merge under way goes its own way.
_WITHDRAWN = (MergeRequestStatus.PENDING, MergeRequestStatus.OPEN, MergeRequestStatus.PROPOSED)


def cancel(run: Run) -> None:
    """Ask for the end of everything a run holds; what cannot be canceled any more is left to end."""
    for worker in _workers(run).exclude(status__in=Worker.final_statuses()):
        workers.cancel_worker(worker_id=worker.pk)
    _cancel_others(run)


def release(run: Run) -> None:
    """Let the workers of a run that ended by itself go, and end what it left unused."""
    for worker in _workers(run).exclude(status__in=Worker.final_statuses()):
        workers.release_worker(worker_id=worker.pk)
    _cancel_others(run)


def find_unfinished(run: Run) -> Wait | None:
    """Return one thing that is not yet proven ended, or None."""
    return next(_unfinished(run), None)


def find_fence(run: Run) -> Wait | None:
    """Return a workflow that may be at work at the git host, or None."""
    return next((held for held in _unfinished(run) if held.kind == "dispatch"), None)


def _cancel_others(run: Run) -> None:
    for check in Verification.objects.filter(task_id=run.task_id).exclude(
        status__in=Verification.final_statuses()
    ):
        workers.cancel_verification(verification_id=check.pk)
    _withdraw_changes(run)
    for dispatch in Dispatch.objects.filter(task_id=run.task_id).exclude(
        status__in=Dispatch.final_statuses()
    ):
        projects.cancel_dispatch(dispatch_id=dispatch.pk)
    for deployment in ServiceDeployment.objects.filter(task_id=run.task_id).exclude(
        status__in=infra_selectors.SETTLED
    ):
        infra.cancel_deployment(deployment_id=deployment.pk)
    rollouts.settle(run.task_id)
    for question in run.questions.filter(status=QuestionStatus.OPEN):
        Question.try_transition(question.pk, to=QuestionStatus.WITHDRAWN)
        announce(question_changed, question_id=question.pk)


def _withdraw_changes(run: Run) -> None:
    changes = list(MergeRequest.objects.filter(task_id=run.task_id).only("status", "evidence"))
    for change in changes:
        if change.status not in _WITHDRAWN:
            continue
        try:
            projects.withdraw_change(merge_request_id=change.pk)
        except Conflict:
            # It was merged or refused at this moment: that stands.
            continue
    # Only what was shown to a git host has left something there.
    if any(change.evidence is not None for change in changes):
        projects.tidy_changes(task_id=run.task_id)


def _unfinished(run: Run) -> Iterator[Wait]:
    for worker in _workers(run):
        if worker.removed_at is None:
            yield Wait("removal", str(worker.pk))
    checks = Verification.objects.filter(task_id=run.task_id)
    for check in checks.exclude(status__in=Verification.final_statuses()):
        yield Wait("verification", str(check.pk))
    changes = MergeRequest.objects.filter(task_id=run.task_id)
    for change in changes.exclude(status__in=MergeRequest.final_statuses()):
        yield Wait("merge", str(change.pk))
    dispatches = Dispatch.objects.filter(task_id=run.task_id)
    for dispatch in dispatches.exclude(status__in=Dispatch.final_statuses()):
        yield Wait("dispatch", str(dispatch.pk))
    deployments = ServiceDeployment.objects.filter(task_id=run.task_id)
    for deployment in deployments.exclude(status__in=infra_selectors.SETTLED):
        yield Wait("deployment", str(deployment.pk))


def _workers(run: Run) -> QuerySet[Worker]:
    return Worker.objects.filter(run_id=run.pk)
