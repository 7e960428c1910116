"""What others may ask about cards; no side effects."""

from uuid import UUID

from django.utils import timezone

from apps.graph import card
from apps.projects import selectors as projects
from apps.workers import selectors as workers


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
        queue=workers.get_queue_place_of_task(task_id=task_id),
    )
