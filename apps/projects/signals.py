"""Facts about rows of this app, sent upwards with ids after the commit: hints, never the truth."""

from typing import Any, Final

from django.db import transaction
from django.dispatch import Signal

project_changed: Final = Signal()  # project_id: UUID
merge_request_changed: Final = Signal()  # merge_request_id: UUID
dispatch_changed: Final = Signal()  # dispatch_id: UUID
task_changed: Final = Signal()  # task_id: UUID
repository_seen: Final = Signal()  # project_id: UUID, name, forge: str, is_missing: bool


def announce(signal: Signal, **ids: Any) -> None:
    """Send a signal once the current transaction has committed; a failing receiver harms nobody."""

    def send() -> None:
        signal.send_robust(sender=None, **ids)

    transaction.on_commit(send, robust=True)
