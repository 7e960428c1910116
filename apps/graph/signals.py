"""What this app announces upwards: ids only, hints only (a sweep is the guarantee)."""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

question_changed: Final = Signal()  # question_id


def announce(signal: Signal, **ids: UUID) -> None:
    """Send a signal once the current transaction has committed; a failing receiver stops nobody."""

    def send() -> None:
        signal.send_robust(sender=None, **ids)

    transaction.on_commit(send, robust=True)
