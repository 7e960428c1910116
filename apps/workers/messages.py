"""What workers say to their people: kept beside the other words of the worker."""

import uuid

from apps.workers.models import Worker, WorkerEvent

KIND = "message"


def record(*, worker: Worker, text: str) -> int:
    """Keep one message.

    Returns:
        The id of the event that holds it.
    """
    # It came through the API, not through the wrapper's stream: a series of its own.
    event = WorkerEvent.objects.create(
        worker=worker, boot=f"api-{uuid.uuid4()}", seq=1, kind=KIND, body={"text": text}
    )
    return int(event.pk)
