"""Celery tasks of this app: thin, by id, repeatable."""

import logging

from celery import shared_task
from django.utils import timezone

from apps.bot import composition, delivering, sweep
from apps.enqueue import advisory_lock, enqueue
from apps.periodic.recording import Run, recorded

logger = logging.getLogger(__name__)

#: More would fill the queue faster than Telegram lets anybody speak.
SWEPT_CHATS = 100
#: Whoever sends looks again before it leaves; the next tick comes soon.
_LOCK_PATIENCE_SECONDS = 0.2


@shared_task(name="bot.deliver")
def deliver(*, chat_id: int) -> None:
    """Send a chat what it is owed and may get now; one process at a time does."""
    if not composition.has_bot():
        return
    with advisory_lock("chat", chat_id, patience_seconds=_LOCK_PATIENCE_SECONDS) as obtained:
        if not obtained:
            return
        wait = delivering.deliver_chat(chat_id=chat_id, client=composition.get_client())
    if wait == 0:
        enqueue(deliver, chat_id=chat_id)


@shared_task(name="periodic.sweep_bot")
@recorded("sweep_bot")
def sweep_bot(run: Run) -> None:
    """Enqueue the chats that are owed something, whatever became of earlier hints."""
    if composition.has_bot():
        due = sweep.list_due_chats(now=timezone.now(), limit=SWEPT_CHATS)
        run.each(due, lambda chat_id: enqueue(deliver, chat_id=chat_id), name="chats")
