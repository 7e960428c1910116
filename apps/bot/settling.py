"""What becomes of a delivery after an attempt: done, again later, or never, with the reason."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from apps.bot import sending_limits as limits
from apps.bot import troubles
from apps.bot.models import Chat, ChatStatus, Delivery, DeliveryKind, DeliveryStatus
from apps.bot.models.delivery import UNSETTLED
from apps.bot.sending import EXPRESS, Parcel, Sent, is_edit
from apps.bot.telegram import (
    AnswerLate,
    ButtonsRefused,
    ChatBlocked,
    ChatGone,
    FloodWait,
    MarkupRefused,
    MessageGone,
    OutcomeUnknown,
    TapExpired,
    TelegramError,
    TelegramUnavailable,
    TokenRefused,
)
from apps.failures import Failure, FailureKind

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 60.0
TOKEN_PAUSE_SECONDS: Final = 60.0
#: While Telegram is silent, one chat asks at a time: each attempt occupies a process.
SILENCE_PAUSE_SECONDS: Final = 5.0
#: Useless a moment later, so nobody has to hear of them.
_FLEETING: Final = frozenset({DeliveryKind.CALLBACK_ANSWER, DeliveryKind.ACTION})


def settle_success(parcel: Parcel, sent: Sent, *, now: datetime) -> None:
    """Write down that a delivery, or one part of it, is there."""
    row = parcel.delivery
    changes: dict[str, Any] = {"is_uncertain": False, "not_before": None, "failure": None}
    if row.kind == DeliveryKind.TEXT:
        sent_ids = [*row.payload.get("sent_ids", []), sent.message_id]
        changes |= {"parts_sent": row.parts_sent + 1, "payload": {**row.payload, "sent_ids": sent_ids}}
    changes["message_id"] = sent.message_id
    if not sent.is_complete:
        Delivery.try_transition(row.pk, to=DeliveryStatus.PENDING, attempts=0, **changes)
        return
    changes |= {"sent_at": now, "shown_revision": row.wanted_revision}
    if row.kind != DeliveryKind.CARD:
        Delivery.try_transition(row.pk, to=DeliveryStatus.SENT, **changes)
        return
    if not is_edit(row):
        changes["is_repeated"] = parcel.may_be_there
    with transaction.atomic():
        wanted = Delivery.objects.select_for_update().get(pk=row.pk).wanted_revision
        is_shown = Delivery.try_transition(row.pk, to=DeliveryStatus.SENT, **changes)
        if is_shown and wanted > row.wanted_revision:
            Delivery.try_transition(row.pk, to=DeliveryStatus.PENDING)  # it has changed meanwhile


def settle_failure(parcel: Parcel, error: TelegramError, *, now: datetime) -> None:
    """Write down what an attempt that failed means for the delivery, its chat and the bot."""
    kind = next((known for known in _MEANINGS if isinstance(error, known)), None)
    if kind is None:
        _fail(parcel.delivery, error.error_code, error.message)
    else:
        _MEANINGS[kind](parcel, error, now)


def expire(row: Delivery, *, now: datetime) -> None:
    """Give up a delivery whose time has passed."""
    if row.kind in _FLEETING:
        _end(row, DeliveryStatus.DROPPED, "too_late", "Its moment has passed.")
        return
    hours = (now - row.created_at).total_seconds() / 3_600
    _fail(row, "delivery_deadline", f"It could not be sent for {hours:.1f} h.")


def drop_all(chat: Chat) -> int:
    """Drop everything that a chat is owed, because it cannot be reached; return how much that was."""
    rows = list(Delivery.objects.filter(chat=chat, status__in=UNSETTLED))
    code = "chat_gone" if chat.status == ChatStatus.GONE else "chat_blocked"
    return sum(_end(row, DeliveryStatus.DROPPED, code, str(chat.get_status_display())) for row in rows)


def _wait_for_flood(parcel: Parcel, error: TelegramError, now: datetime) -> None:
    seconds = error.retry_after if isinstance(error, FloodWait) else 1.0
    limits.pause(parcel.chat, seconds, now=now)
    # Telegram did not look at it, so it is no attempt.
    _again(parcel, attempts=F("attempts") - 1)


def _lose_chat(parcel: Parcel, error: TelegramError, _now: datetime) -> None:
    is_gone = isinstance(error, ChatGone)
    Chat.try_transition(parcel.chat.pk, to=ChatStatus.GONE if is_gone else ChatStatus.BLOCKED)
    drop_all(parcel.chat.reload())


def _say_it_plainly(parcel: Parcel, error: TelegramError, _now: datetime) -> None:
    if parcel.delivery.is_plain:
        _fail(parcel.delivery, error.error_code, error.message)
        return
    # Without its words: they may quote what was written.
    logger.warning("Telegram refused the markup of delivery %s: %s", parcel.delivery.pk, error.error_code)
    _again(parcel, is_plain=True)


def _show_anew(parcel: Parcel, error: TelegramError, _now: datetime) -> None:
    if not is_edit(parcel.delivery):
        _fail(parcel.delivery, error.error_code, error.message)
        return
    _again(parcel, shown_revision=0, message_id=None)


def _let_pass(parcel: Parcel, error: TelegramError, _now: datetime) -> None:
    _end(parcel.delivery, DeliveryStatus.DROPPED, error.error_code, error.message)


def _try_later(parcel: Parcel, error: TelegramError, now: datetime) -> None:
    row = parcel.delivery
    if isinstance(error, TelegramUnavailable | AnswerLate):
        limits.pause_everybody(SILENCE_PAUSE_SECONDS, now=now)
    if row.kind == DeliveryKind.ACTION:
        _let_pass(parcel, error, now)
        return
    pause = min(2.0 ** min(row.attempts, 10), LONGEST_PAUSE_SECONDS)
    changes: dict[str, Any] = {"not_before": now + timedelta(seconds=pause), "failure": _record(error)}
    if isinstance(error, OutcomeUnknown) and row.kind not in EXPRESS and not is_edit(row):
        changes["is_uncertain"] = True
    _again(parcel, **changes)


def _distrust_token(parcel: Parcel, error: TelegramError, now: datetime) -> None:
    limits.pause_everybody(TOKEN_PAUSE_SECONDS, now=now)
    said = troubles.token_words(error.message)
    troubles.report(key=troubles.TOKEN_TROUBLE, code=error.error_code, message=said)
    _again(parcel, failure=_record(error))


Meaning = Callable[[Parcel, TelegramError, datetime], None]
_MEANINGS: Final[dict[type[TelegramError], Meaning]] = {
    FloodWait: _wait_for_flood,
    ChatBlocked: _lose_chat,
    ChatGone: _lose_chat,
    MarkupRefused: _say_it_plainly,
    ButtonsRefused: _say_it_plainly,
    MessageGone: _show_anew,
    TapExpired: _let_pass,
    TelegramUnavailable: _try_later,
    OutcomeUnknown: _try_later,
    TokenRefused: _distrust_token,
}


def _again(parcel: Parcel, **changes: Any) -> None:
    Delivery.try_transition(parcel.delivery.pk, to=DeliveryStatus.PENDING, **changes)


def _fail(row: Delivery, code: str, message: str) -> None:
    if _end(row, DeliveryStatus.FAILED, code, message) and row.kind not in _FLEETING:
        troubles.report(
            key=f"delivery:{row.pk}",
            code=code,
            message=f"A {row.get_kind_display()} was not delivered: {message}",
            chat=row.chat,
            delivery=row,
        )


def _end(row: Delivery, status: DeliveryStatus, code: str, message: str) -> bool:
    record = Failure(stage="deliver", kind=FailureKind.PROVIDER, code=code, message=message)
    return Delivery.try_transition(row.pk, to=status, expect=UNSETTLED, failure=record.as_json())


def _record(error: TelegramError) -> dict[str, Any]:
    return Failure.from_error(error, stage="deliver").as_json()
