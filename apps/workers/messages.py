"""What workers say to their people: kept beside the other words of the worker."""

import uuid

from django.db import transaction

from apps.errors import Conflict
from apps.workers.limits import MAX_MESSAGES
from apps.workers.models import Worker, WorkerEvent

KIND = "message"


class TooManyMessages(Conflict):
    """The worker has said as much as one worker may."""

    code = "too_many_messages"


@transaction.atomic
def record(*, worker: Worker, text: str) -> int:
    """Keep one message.

    Returns:
        The id of the event that holds it.

    Raises:
        TooManyMessages: it was not kept.
    """
    # One at a time, so that two words at once cannot both be the last.
    Worker.objects.select_for_update(no_key=True).get(pk=worker.pk)
    if WorkerEvent.objects.filter(worker=worker, kind=KIND).count() >= MAX_MESSAGES:
        raise TooManyMessages(details={"limit_messages": MAX_MESSAGES})
    # It came through the API, not through the wrapper's stream: a series of its own.
    event = WorkerEvent.objects.create(
        worker=worker, boot=f"api-{uuid.uuid4()}", seq=1, kind=KIND, body={"text": text}
    )
    return int(event.pk)
