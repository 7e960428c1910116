"""What workers say to their people: kept beside the other words of the worker."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.errors import Conflict
from apps.workers import composition
from apps.workers.limits import MAX_MESSAGES
from apps.workers.models import Turn, TurnStatus, Worker, WorkerEvent
from apps.workers.signals import announce, worker_spoke
from worker_image import masking

KIND = "message"
_OURS = uuid.UUID("6f1c62f5-8d0e-4a55-9f0d-3c9b3a6f1f6e")
_MOST_LISTED = 200


class TooManyMessages(Conflict):
    """The worker has said as much as one worker may."""

    code = "too_many_messages"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One thing that a worker told its person."""

    id: int
    """Names it for ever, and rises."""
    worker_id: UUID
    owner_id: int
    turn_id: UUID | None
    text: str
    said_at: datetime


@transaction.atomic
def record(*, worker: Worker, text: str, key: str = "") -> int:
    """Keep one message, and announce it; the same key again is the same message.

    Args:
        worker: who speaks.
        text: its words; its own secrets are taken out of them.
        key: names this message among the worker's; empty: it is another one each time.

    Returns:
        The id of the event that holds it.

    Raises:
        TooManyMessages: it was not kept.
    """
    # One at a time, so that two words at once cannot both be the last.
    Worker.objects.select_for_update(no_key=True).get(pk=worker.pk)
    # It came through the API, not through the wrapper's stream: a series of its own.
    boot = f"api-{uuid.uuid5(_OURS, key) if key else uuid.uuid4()}"
    known = WorkerEvent.objects.filter(worker=worker, boot=boot, seq=1).first()
    if known is not None:
        return int(known.pk)
    if WorkerEvent.objects.filter(worker=worker, kind=KIND).count() >= MAX_MESSAGES:
        raise TooManyMessages(details={"limit_messages": MAX_MESSAGES})
    text = masking.mask(text, composition.masked_words(worker.pk))
    turn_id = find_present_turn(worker.pk)
    event = WorkerEvent.objects.create(
        worker=worker, boot=boot, seq=1, kind=KIND, body={"text": text}, turn_id=turn_id
    )
    announce(worker_spoke, message_id=event.pk)
    return int(event.pk)


def find_present_turn(worker_id: UUID) -> UUID | None:
    """Return the turn that a worker is at, or None between two."""
    present = Turn.objects.filter(worker_id=worker_id, status__in=[TurnStatus.PENDING, TurnStatus.RUNNING])
    return present.values_list("pk", flat=True).first()


def list_messages(
    *, after_id: int = 0, owner_id: int | None = None, turn_id: UUID | None = None
) -> Sequence[Message]:
    """Return what Product Owners and developers said, the oldest first.

    Args:
        after_id: only later ones.
        owner_id: only to this person.
        turn_id: only during this turn.

    """
    rows = WorkerEvent.objects.select_related("worker").filter(kind=KIND, pk__gt=after_id)
    if owner_id is not None:
        rows = rows.filter(worker__owner_id=owner_id)
    if turn_id is not None:
        rows = rows.filter(turn_id=turn_id)
    return [_message(row) for row in rows.order_by("pk")[:_MOST_LISTED]]


def find_message(message_id: int) -> Message | None:
    """Return one message, or None if there is none of that id."""
    row = WorkerEvent.objects.select_related("worker").filter(kind=KIND, pk=message_id).first()
    return None if row is None else _message(row)


def _message(row: WorkerEvent) -> Message:
    return Message(
        id=row.pk,
        worker_id=row.worker_id,
        owner_id=row.worker.owner_id,
        turn_id=row.turn_id,
        text=str(row.body.get("text", "")),
        said_at=row.received_at,
    )
