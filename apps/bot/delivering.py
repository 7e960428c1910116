"""One chat's deliveries on their way, in order: one process at a time, ``bot.deliver`` holds the chat's lock.

What is ordered (texts, files, new cards) waits for what came before it. Deletions, answers to taps
and "typing" do not; an edit of a card takes the newest state, once a second.
A row that is found ``sending`` was left by a process that died: nobody knows whether it arrived.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q
from django.utils import timezone

from apps.bot import sending_limits as limits
from apps.bot.models import Chat, Delivery, DeliveryKind, DeliveryStatus
from apps.bot.models.delivery import UNSETTLED
from apps.bot.sending import EXPRESS, Parcel, is_edit, send
from apps.bot.settling import drop_all, expire, settle_failure, settle_success
from apps.bot.telegram import TelegramClient, TelegramError

logger = logging.getLogger(__name__)

#: Then other chats get their turn.
TURN_SECONDS = 10.0
#: A shorter wait for the turn of everybody is not worth coming back for.
PATIENCE_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The time, and how to let it pass; tests bring their own."""

    now: Callable[[], datetime] = timezone.now
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class _Next:
    """What is due in a chat: a delivery now, or something in ``wait`` seconds, or nothing (None)."""

    delivery: Delivery | None = None
    wait: float | None = None


def deliver_chat(*, chat_id: int, client: TelegramClient, clock: Clock | None = None) -> float | None:
    """Send what may be sent to a chat now; the caller holds its lock.

    Args:
        chat_id: of our row.
        client: connection to Telegram.
        clock: the time, by default the real one.

    Returns:
        In how many seconds something is due again; None: nothing waits.

    """
    clock = clock or Clock()
    began = clock.now()
    chat = Chat.objects.filter(pk=chat_id).first()
    while chat is not None and (clock.now() - began).total_seconds() < TURN_SECONDS:
        if not chat.is_reachable:
            drop_all(chat)
            return None
        found = _next(chat, now=clock.now())
        if found.delivery is None:
            return found.wait
        if wait := _take_turn(clock):
            return wait
        _deliver(found.delivery, chat, client, clock)
        chat.refresh_from_db()
    return 0.0 if chat is not None else None


def _take_turn(clock: Clock) -> float:
    """Take everybody's next turn, waiting a moment for it; 0: taken, else how long it would take."""
    waited = 0.0
    while (wait := limits.take_turn(now=clock.now())) and waited + wait <= PATIENCE_SECONDS:
        clock.sleep(wait)
        waited += wait
    return wait


def _deliver(delivery: Delivery, chat: Chat, client: TelegramClient, clock: Clock) -> None:
    may_be_there = delivery.status == DeliveryStatus.SENDING or delivery.is_uncertain
    Delivery.transition(
        delivery.pk,
        to=DeliveryStatus.SENDING,
        expect=delivery.status,
        attempts=F("attempts") + 1,
        is_uncertain=may_be_there,
    )
    parcel = Parcel(delivery=delivery, chat=chat, may_be_there=may_be_there)
    if delivery.kind not in EXPRESS and not is_edit(delivery):
        limits.count_for_chat(chat, now=clock.now())
    try:
        sent = send(parcel, client)
    except TelegramError as error:
        settle_failure(parcel, error, now=clock.now())
    else:
        settle_success(parcel, sent, now=clock.now())


def _next(chat: Chat, *, now: datetime) -> _Next:
    waits: list[float] = []
    for find in (_express, _ordered, _edit):
        found = find(chat, now)
        if found.delivery is not None:
            return found
        if found.wait is not None:
            waits.append(found.wait)
    return _Next(wait=min(waits, default=None))


def _express(chat: Chat, now: datetime) -> _Next:
    rows = Delivery.objects.filter(chat=chat, status__in=UNSETTLED, kind__in=EXPRESS).order_by("pk")[:20]
    return _first_due(list(rows), _until(chat.paused_until, now), now)


def _ordered(chat: Chat, now: datetime) -> _Next:
    is_new = ~Q(kind__in=EXPRESS) & ~Q(kind=DeliveryKind.CARD, shown_revision__gt=0)
    head = Delivery.objects.filter(is_new, chat=chat, status__in=UNSETTLED).order_by("pk").first()
    if head is None:
        return _Next()
    return _first_due([head], limits.wait_for_chat(chat, now=now), now)


def _edit(chat: Chat, now: datetime) -> _Next:
    edits = Delivery.objects.filter(
        chat=chat, status__in=UNSETTLED, kind=DeliveryKind.CARD, shown_revision__gt=0
    ).order_by("status_changed_at")[:20]
    rows = list(edits)
    return _first_due(rows, limits.wait_for_edit(chat, now=now), now) if rows else _Next()


def _first_due(rows: list[Delivery], wait: float, now: datetime) -> _Next:
    """Return the first row that may go; those whose time has passed are given up on the way."""
    waits = []
    for row in rows:
        if row.deadline_at <= now:
            expire(row, now=now)
            waits.append(0.0)
            continue
        own = max(wait, _until(row.not_before, now))
        if own <= 0:
            return _Next(delivery=row)
        waits.append(own)
    return _Next(wait=min(waits, default=None))


def _until(moment: datetime | None, now: datetime) -> float:
    return max((moment - now).total_seconds(), 0.0) if moment is not None else 0.0
