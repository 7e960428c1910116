"""When the bot may speak: to one chat, and to everybody, whichever process asks.

Both are allowances that fill up with time: the row says when its allowance is
full again, every message moves that moment on, and it may lie ahead by a burst.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Max, Q
from django.db.models.functions import Greatest

from apps.bot.models import Chat, Delivery, DeliveryKind, SendGate

_NAME = "telegram"


def wait_for_chat(chat: Chat, *, now: datetime) -> float:
    """Return how many seconds a chat must be left alone; 0: a message may go.

    Only the holder of the chat's lock may ask, and ``count_for_chat`` afterwards.
    """
    ahead = _ahead(settings.BOT_CHAT_MESSAGES_PER_SECOND, settings.BOT_CHAT_BURST)
    moments = [moment for moment in (chat.paused_until,) if moment is not None]
    if chat.next_send_at is not None:
        moments.append(chat.next_send_at - ahead)
    return _until(max(moments, default=now), now)


def wait_for_edit(chat: Chat, *, now: datetime) -> float:
    """Return how many seconds the cards of a chat must stay as they are; 0: one may be edited."""
    shown = Delivery.objects.filter(chat=chat, kind=DeliveryKind.CARD).aggregate(at=Max("sent_at"))["at"]
    moments = [moment for moment in (chat.paused_until,) if moment is not None]
    if shown is not None:
        moments.append(shown + timedelta(seconds=settings.BOT_EDIT_INTERVAL_SECONDS))
    return _until(max(moments, default=now), now)


def count_for_chat(chat: Chat, *, now: datetime) -> None:
    """Count a message that is about to go."""
    step = timedelta(seconds=1 / settings.BOT_CHAT_MESSAGES_PER_SECOND)
    chat.next_send_at = max(chat.next_send_at or now, now) + step
    Chat.objects.filter(pk=chat.pk).update(next_send_at=chat.next_send_at)


def take_turn(*, now: datetime) -> float:
    """Take one message's share of what the bot may say to everybody.

    Returns:
        0: taken; else how many seconds until it is worth asking again, and nothing was taken.

    """
    step = timedelta(seconds=1 / settings.BOT_MESSAGES_PER_SECOND)
    ahead = _ahead(settings.BOT_MESSAGES_PER_SECOND, settings.BOT_MESSAGES_BURST)
    is_open = Q(paused_until=None) | Q(paused_until__lte=now)
    gate = SendGate.objects.filter(pk=_NAME)
    if gate.filter(is_open, next_send_at__lte=now + ahead).update(
        next_send_at=Greatest(F("next_send_at"), now) + step
    ):
        return 0.0
    row, is_new = SendGate.objects.get_or_create(name=_NAME, defaults={"next_send_at": now + step})
    if is_new:
        return 0.0
    return max(_until(max(row.next_send_at - ahead, row.paused_until or now), now), 0.001)


def is_paused(*, now: datetime) -> bool:
    """Tell whether nothing may be said to anybody."""
    return SendGate.objects.filter(pk=_NAME, paused_until__gt=now).exists()


def pause(chat: Chat, seconds: float, *, now: datetime) -> None:
    """Leave a chat alone, as Telegram asked; everybody, if another chat has to be left alone already.

    Telegram does not say whether it means the chat or the bot: when two chats are paused, it means the bot.
    """
    until = now + timedelta(seconds=seconds)
    others = Chat.objects.filter(paused_until__gt=now).exclude(pk=chat.pk).exists()
    chat.paused_until = until
    Chat.objects.filter(pk=chat.pk).update(paused_until=until)
    if others:
        pause_everybody(seconds, now=now)


def pause_everybody(seconds: float, *, now: datetime) -> None:
    """Say nothing to anybody for a while."""
    until = now + timedelta(seconds=seconds)
    SendGate.objects.get_or_create(name=_NAME, defaults={"next_send_at": now})
    # A longer pause that was asked for before stays.
    is_shorter = Q(paused_until=None) | Q(paused_until__lt=until)
    SendGate.objects.filter(is_shorter, pk=_NAME).update(paused_until=until)


def _ahead(rate: float, burst: int) -> timedelta:
    return timedelta(seconds=(burst - 1) / rate)


def _until(moment: datetime, now: datetime) -> float:
    return max((moment - now).total_seconds(), 0.0)
