"""Tells the rest of the system what the consumer stored, without ever delaying the consumer.

Everything here is a hint: when the broker hangs, hints are dropped and a sweep repeats them.
"""

import logging
import queue
import threading
from typing import Final
from uuid import UUID

from django.db import close_old_connections
from django.dispatch import Signal

from apps.enqueue import enqueue
from apps.workers import signals, tasks
from apps.workers.consumer_apply import Facts

logger = logging.getLogger(__name__)

_MOST_WAITING: Final = 10_000
Hint = tuple[Signal | None, str, UUID]


class FollowUps:
    """A thread that sends signals and enqueues Celery tasks, in order."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Hint | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="result-follow-ups", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """End after what is waiting was sent, or after a time."""
        if self._thread.is_alive():
            self._put(None)
            self._thread.join(timeout_seconds)

    def tell(self, facts: Facts) -> None:
        """Queue what follows from facts; returns at once."""
        for turn_id in facts.progressed - facts.turns:
            self._put((signals.turn_progressed, "turn_id", turn_id))
        for turn_id in facts.turns:
            self._put((signals.turn_changed, "turn_id", turn_id))
        for worker_id in facts.workers:
            self._put((signals.worker_changed, "worker_id", worker_id))
        for worker_id in facts.look_at:
            self._put((None, "worker_id", worker_id))

    def _put(self, hint: Hint | None) -> None:
        try:
            self._waiting.put_nowait(hint)
        except queue.Full:
            logger.warning("Dropped a hint: %d are waiting", _MOST_WAITING)

    def _run(self) -> None:
        while (hint := self._waiting.get()) is not None:
            try:
                self._send(*hint)
            except Exception:
                logger.exception("Could not send a hint")
            finally:
                close_old_connections()

    def _send(self, signal: Signal | None, name: str, subject_id: UUID) -> None:
        if signal is not None:
            signal.send_robust(sender=None, **{name: subject_id})
        else:
            enqueue(tasks.reconcile_worker, worker_id=str(subject_id))
