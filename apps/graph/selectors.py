"""What others may ask about cards; no side effects."""

from uuid import UUID

from django.utils import timezone, translation

from apps.graph import card
from apps.projects import selectors as projects
from apps.workers import liveness_words
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
    now = timezone.now()
    with translation.override(language):
        liveness = liveness_words.find_line(task_id=task_id, now=now)
    return card.present(
        task,
        projects.list_events(task_id=task_id),
        language=language,
        now=now,
        follower=follower,
        follower_events=projects.list_events(task_id=follower.pk) if follower else (),
        queue=workers.get_queue_place_of_task(task_id=task_id),
        image_wait=workers.find_image_wait(task_id=task_id),
        liveness=liveness,
    )
