"""Whether what a run waits for is over; the one table of the kinds of waiting."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from apps.errors import NotFound
from apps.graph.models import Question, QuestionStatus, Run
from apps.infra import selectors as infra
from apps.projects import selectors as projects
from apps.projects.models import ProjectStatus
from apps.workers import selectors as workers

UNAVAILABLE = "unavailable"
RETRY_AFTER = timedelta(seconds=3)


def is_over(run: Run, *, now: datetime) -> bool:
    """Tell whether a waiting run has a reason to be driven again.

    A row that is gone counts as over: the node that looks for it says so in words.
    """
    kind, _, name = run.waiting_for.partition(":")
    if kind == UNAVAILABLE:
        return run.status_changed_at + RETRY_AFTER <= now
    if kind == "question":
        return _is_question_over(UUID(name), now)
    try:
        return OVER[kind](UUID(name))
    except NotFound:
        return True


def is_project_settled(project_id: UUID) -> bool:
    """Tell whether scaffolding has ended, one way or the other."""
    return projects.get_project(project_id).status not in {ProjectStatus.DRAFT, ProjectStatus.SCAFFOLDING}


def _is_worker_settled(worker_id: UUID) -> bool:
    outcome = workers.get_worker_outcome(worker_id=worker_id)
    return outcome.is_ready or outcome.is_final


def _is_change_settled(change_id: UUID) -> bool:
    outcome = projects.get_change_outcome(merge_request_id=change_id)
    return outcome.is_open or outcome.is_final


def _is_question_over(question_id: UUID, now: datetime) -> bool:
    return not Question.objects.filter(
        pk=question_id, status=QuestionStatus.OPEN, deadline_at__gt=now
    ).exists()


OVER: dict[str, Callable[[UUID], bool]] = {
    "project": is_project_settled,
    "worker": _is_worker_settled,
    "removal": lambda worker_id: workers.get_worker_outcome(worker_id=worker_id).removed,
    "turn": lambda turn_id: workers.get_turn_outcome(turn_id=turn_id).is_final,
    "change": _is_change_settled,
    "merge": lambda change_id: projects.get_change_outcome(merge_request_id=change_id).is_final,
    "verification": lambda check_id: workers.get_verification_outcome(verification_id=check_id).is_final,
    "dispatch": lambda dispatch_id: projects.get_dispatch_outcome(dispatch_id=dispatch_id).is_final,
    "deployment": lambda release_id: infra.get_deployment_outcome(deployment_id=release_id).is_final,
}
