"""What an operator may do with an unreadable entry: try again, or set it aside."""

import json

from django.db import transaction

from apps.errors import Invalid
from apps.workers import consumer_apply, consumer_parse, signals
from apps.workers.models import DeadLetter, DeadLetterStatus
from worker_image.contract import DATA_FIELD
from worker_image.streams import Entry


class StillUnreadable(Invalid):
    """The entry cannot be read today either; its words are unchanged."""

    code = "still_unreadable"


@transaction.atomic
def replay(*, letter_id: int) -> None:
    """Read an entry again, as after an update of this program, and apply what it says.

    Raises:
        StillUnreadable: it does not follow the contract, or speaks of something not its own.
        IllegalTransition: it was replayed or discarded before.
    """
    letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
    DeadLetter.transition(letter_id, to=DeadLetterStatus.REPLAYED)
    if letter.worker_id is None:
        raise StillUnreadable("The entry names no worker.")
    text = _words_of(letter.payload)
    entry = Entry(stream=letter.stream, id=letter.entry_id, data=text.encode())
    try:
        report = consumer_parse.parse(letter.worker_id, entry)
    except consumer_parse.Unreadable as error:
        raise StillUnreadable(details={"reason": str(error)}) from error
    facts = consumer_apply.store([report])
    if facts.refused:
        raise StillUnreadable(details={"reason": facts.refused[0][1]})
    worker_id, turn_id = report.worker_id, report.turn_id
    transaction.on_commit(lambda: signals.worker_changed.send_robust(None, worker_id=worker_id))
    if turn_id is not None:
        transaction.on_commit(lambda: signals.turn_changed.send_robust(None, turn_id=turn_id))


def _words_of(payload: str) -> str:
    try:
        fields = json.loads(payload)
    except ValueError as error:
        raise StillUnreadable("What was kept of the entry is not JSON.") from error
    return str(fields.get(DATA_FIELD, "")) if isinstance(fields, dict) else ""


def discard(*, letter_id: int) -> None:
    """Set an entry aside for good; its words stay readable.

    Raises:
        IllegalTransition: it was replayed or discarded before.
    """
    DeadLetter.transition(letter_id, to=DeadLetterStatus.DISCARDED)
