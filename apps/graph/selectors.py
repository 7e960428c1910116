"""What others may ask about runs and cards; no side effects."""

from uuid import UUID

from django.utils import timezone

from apps.errors import NotFound
from apps.graph import card
from apps.graph.models import Question, QuestionStatus, Run
from apps.projects import selectors as projects


def get_run(*, run_id: UUID) -> Run:
    """Return a run with its task.

    Raises:
        NotFound: there is none of that id.

    """
    run = Run.objects.select_related("task").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    return run


def find_latest_run(*, task_id: UUID) -> Run | None:
    """Return the latest run of a task, or None before its start."""
    return Run.objects.filter(task_id=task_id).order_by("-created_at").first()


def list_open_questions(*, task_id: UUID) -> list[Question]:
    """Return what a task's run waits to be told, oldest first."""
    rows = Question.objects.filter(run__task_id=task_id, status=QuestionStatus.OPEN)
    return list(rows.order_by("created_at"))


def get_card(*, task_id: UUID, language: str = "en") -> card.Card:
    """Return the live card of a task, together with the deployment that follows it.

    Args:
        task_id: whose card.
        language: of the texts.

    Raises:
        NotFound: there is no such task.

    """
    task = projects.get_task(task_id)
    follower = projects.find_follower(task_id=task_id)
    return card.present(
        task,
        projects.list_events(task_id=task_id),
        language=language,
        now=timezone.now(),
        follower=follower,
        follower_events=projects.list_events(task_id=follower.pk) if follower else (),
    )
