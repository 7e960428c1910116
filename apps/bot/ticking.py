"""A hint the moment a delivery may go: between two sweeps limits and pauses end, and cards change.

Updates whose own hint was lost are hinted at, too.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from django.db import Error, close_old_connections
from django.utils import timezone

from apps.bot import intake, sweep, tasks
from apps.enqueue import enqueue

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
#: Enough for what everybody may get in a tick, and a hint on its way is not sent again.
_CHATS = 30
_HINT_SECONDS = 1.0
_PAUSE_SECONDS = 3.0


class Ticker(threading.Thread):
    """Enqueues the chats that are due, until it is stopped; the sweep does the same, less often."""

    def __init__(self, *, stopping: threading.Event, now: Callable[[], datetime] = timezone.now) -> None:
        super().__init__(name="ticker", daemon=True)
        self._stopping, self._now = stopping, now
        self._hinted: dict[int, float] = {}

    def run(self) -> None:
        """Tick."""
        while not self._stopping.wait(TICK_SECONDS):
            try:
                self.tick()
            except Error as error:
                logger.warning("The database does not answer: %s", type(error).__name__)
                self._stopping.wait(_PAUSE_SECONDS)
            finally:
                close_old_connections()

    def tick(self) -> list[int]:
        """Enqueue what is due, and return which chats that are."""
        moment = time.monotonic()
        self._hinted = {chat: at for chat, at in self._hinted.items() if moment - at < _HINT_SECONDS}
        due = sweep.list_due_chats(now=self._now(), limit=_CHATS + len(self._hinted))
        fresh = [chat for chat in due if chat not in self._hinted][:_CHATS]
        for chat in fresh:
            self._hinted[chat] = moment
            enqueue(tasks.deliver, chat_id=chat)
        intake.hint_at_held(now=self._now())
        return fresh
