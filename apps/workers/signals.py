"""What this app announces upwards: ids only, hints only (a sweep is the guarantee)."""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

worker_changed: Final = Signal()  # worker_id
turn_changed: Final = Signal()  # turn_id
turn_progressed: Final = Signal()  # turn_id
verification_changed: Final = Signal()  # verification_id
worker_spoke: Final = Signal()  # message_id, of `messages`


def announce(signal: Signal, **ids: UUID | int) -> None:
    """Send a signal once the current transaction has committed; a failing receiver stops nobody."""

    def send() -> None:
        signal.send_robust(sender=None, **ids)

    transaction.on_commit(send, robust=True)
