"""How an update comes in: handled at once, or held for the moment that it takes to ask Telegram about it.

Whoever brings updates waits for no answer of Telegram: neither Telegram's own call of the webhook, nor, where
updates are polled for, everybody else's messages. What comes after a held update in the same chat is held
behind it, so that nothing is handled out of order.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from celery import shared_task
from django.db import transaction

from apps.bot import composition, handlers, outbox, routing
from apps.bot.incoming import Incoming, parse
from apps.bot.models import Chat, HeldUpdate, ProcessedUpdate
from apps.encryption import UndecryptableSecret
from apps.enqueue import advisory_lock, enqueue

#: By then a hint that was not lost has been followed.
_LATE: Final = timedelta(seconds=10)
_MOST_HINTS: Final = 20


def take(update: Mapping[str, Any]) -> None:
    """Take an update of Telegram; one that was taken before changes nothing.

    Args:
        update: as Telegram sends it.

    Raises:
        DatabaseError: the database does not answer; nothing was done, and the same update is wanted again.
        ValueError: this is no update.

    """
    incoming = parse(update)
    if _must_wait(incoming):
        _hold(incoming, update)
    else:
        handlers.handle(update)


def hint_at_held(*, now: datetime) -> None:
    """Enqueue the chats whose held updates nobody has taken."""
    late = HeldUpdate.objects.filter(created_at__lt=now - _LATE).values_list("chat_id", flat=True)
    for chat_id in late.distinct()[:_MOST_HINTS]:
        enqueue(take_held, chat_id=chat_id)


@shared_task(name="bot.take_held")
def take_held(*, chat_id: int) -> None:
    """Handle the held updates of a chat of Telegram, in order."""
    if not composition.has_bot():
        return
    with advisory_lock("held", chat_id) as is_held:
        # Their ids only: a body that cannot be decrypted cannot even be fetched.
        ids = HeldUpdate.objects.filter(chat_id=chat_id).order_by("update_id").values_list("pk", flat=True)
        while is_held and (update_id := ids.first()) is not None:
            try:
                handlers.handle(json.loads(HeldUpdate.objects.get(pk=update_id).body))
            except (UndecryptableSecret, ValueError) as error:
                handlers.give_up_unread(update_id, chat_id=chat_id, error=error)
            HeldUpdate.objects.filter(pk=update_id).delete()


def _must_wait(incoming: Incoming) -> bool:
    is_behind = HeldUpdate.objects.filter(chat_id=incoming.chat_id).exists()
    if not (is_behind or routing.needs_telegram(incoming)):
        return False
    return not ProcessedUpdate.objects.filter(pk=incoming.update_id, finished_at__isnull=False).exists()


@transaction.atomic
def _hold(incoming: Incoming, update: Mapping[str, Any]) -> None:
    HeldUpdate.objects.get_or_create(
        update_id=incoming.update_id, defaults={"chat_id": incoming.chat_id, "body": json.dumps(update)}
    )
    chat = Chat.objects.filter(telegram_id=incoming.chat_id).first()
    if chat is not None and chat.is_reachable:
        outbox.show_typing(chat)
    enqueue(take_held, chat_id=incoming.chat_id)
