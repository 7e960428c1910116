"""What the bot wants to say, written down; it is sent by ``bot.deliver``, under Telegram's limits.

Every function may be called inside the transaction of whatever is being told,
and again with the same key: the first row stands. Texts are Telegram's HTML
(``presenters`` escape what people wrote); they are split where they are too long
and repeated without markup where Telegram refuses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import ngettext

from apps.bot import tasks
from apps.bot.models import Chat, Delivery, DeliveryKind, DeliveryStatus
from apps.enqueue import enqueue
from apps.errors import Invalid, NotFound

#: Telegram's own bound.
CALLBACK_DATA_BYTES = 64


class EmptyText(Invalid):
    """A message needs words."""

    code = "empty_text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """One button below a message: either a tap that comes back with ``data``, or a link."""

    text: str
    data: str = ""
    url: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the form that a delivery carries."""
        target = {"url": self.url} if self.url else {"data": self.data}
        return {"text": self.text, **target}


Buttons = Sequence[Sequence[Button]]


def send_text(chat: Chat, text: str, *, key: str, buttons: Buttons = (), is_quiet: bool = False) -> Delivery:
    """Owe a chat a message.

    Args:
        chat: where to.
        text: Telegram's HTML, of any length.
        key: names this message for good; a second call with it changes nothing.
        buttons: rows of buttons below the (last) message.
        is_quiet: whether it makes no sound.

    Raises:
        EmptyText: there is nothing to read in it.

    """
    payload = {"text": _readable(text), "buttons": _rows(buttons), "is_quiet": is_quiet}
    return _owe(chat, DeliveryKind.TEXT, key, payload, settings.BOT_DELIVERY_DEADLINE_SECONDS)


def show_card(chat: Chat, text: str, *, key: str, buttons: Buttons = (), is_quiet: bool = False) -> Delivery:
    """Want one message to look like this from now on; sent the first time, edited in place afterwards.

    Args:
        chat: where.
        text: Telegram's HTML; what is longer than one message is cut.
        key: of the message; each call with it replaces what is wanted, and the newest wins.
        buttons: rows of buttons below it.
        is_quiet: whether its first appearance makes no sound; a change never does.

    Raises:
        EmptyText: there is nothing to read in it.

    """
    payload = {"text": _readable(text), "buttons": _rows(buttons), "is_quiet": is_quiet}
    with transaction.atomic():
        card = _owe(chat, DeliveryKind.CARD, key, payload, settings.BOT_DELIVERY_DEADLINE_SECONDS)
        card = Delivery.objects.select_for_update().get(pk=card.pk)
        if card.payload == payload:
            return card
        Delivery.objects.filter(pk=card.pk).update(
            payload=payload,
            wanted_revision=card.wanted_revision + 1,
            deadline_at=_after(settings.BOT_DELIVERY_DEADLINE_SECONDS),
            attempts=0,
        )
        Delivery.try_transition(card.pk, to=DeliveryStatus.PENDING, expect=_SETTLED, failure=None)
        enqueue(tasks.deliver, chat_id=chat.pk)
    return card.reload()


def owe_again(chat: Chat) -> int:
    """Owe a chat what was dropped lately because it could not be reached; returns how much that is.

    What is too old or too much to be read stays dropped; the chat is told how much that is.
    """
    lost = Delivery.objects.filter(
        chat=chat,
        status=DeliveryStatus.DROPPED,
        kind__in=[DeliveryKind.TEXT, DeliveryKind.CARD],
        failure__code__in=_UNREACHED,
    )
    told = Delivery.objects.filter(chat=chat, idempotency_key__startswith=_left_out_key(chat))
    if (last := told.order_by("-pk").first()) is not None:
        # What had been dropped by then was owed again, or counted.
        lost = lost.filter(status_changed_at__gt=last.created_at)
    latest = lost.filter(created_at__gt=timezone.now() - _NEWS_FOR).order_by("-pk")[:_MOST_NEWS]
    rows = sorted(latest, key=lambda row: row.pk)
    _tell_left_out(chat, list(lost.exclude(pk__in=[row.pk for row in rows]).values_list("pk", flat=True)))
    deadline = _after(settings.BOT_DELIVERY_DEADLINE_SECONDS)
    for row in rows:
        Delivery.try_transition(
            row.pk, to=DeliveryStatus.PENDING, failure=None, attempts=0, not_before=None, deadline_at=deadline
        )
    if rows:
        enqueue(tasks.deliver, chat_id=chat.pk)
    return len(rows)


def _tell_left_out(chat: Chat, lost: Sequence[int]) -> None:
    if not lost:
        return
    with translation.override(chat.language):
        text = ngettext(
            "%(count)s older message that you missed does not come again. /projects and /tasks show what is.",
            "%(count)s older messages that you missed do not come again. /projects and /tasks show what is.",
            len(lost),
        )
        send_text(chat, text % {"count": len(lost)}, key=f"{_left_out_key(chat)}{uuid4().hex}")


def _left_out_key(chat: Chat) -> str:
    return f"left-out:{chat.pk}:"


def delete(chat: Chat, *, key: str, message_id: int | None = None, of: str = "") -> Delivery:
    """Owe a chat the disappearance of a message; one that is gone already is fine.

    Args:
        chat: where.
        key: names this deletion for good.
        message_id: Telegram's id of a message, such as one a person wrote.
        of: or the key of a delivery, whose message it is.

    Raises:
        NotFound: there is no delivery with that key.

    """
    if of and not Delivery.objects.filter(chat=chat, idempotency_key=of).exists():
        raise NotFound(f"There is no delivery {of} in this chat.")
    payload = {"message_id": message_id, "of": of}
    return _owe(chat, DeliveryKind.DELETE, key, payload, settings.BOT_DELIVERY_DEADLINE_SECONDS)


def answer_callback(
    chat: Chat, *, callback_query_id: str, text: str = "", is_alert: bool = False
) -> Delivery:
    """Owe a tap its answer, which ends the button's spinner.

    Args:
        chat: where the button is.
        callback_query_id: Telegram's id of the tap.
        text: shown for a moment, plain; 200 characters at most.
        is_alert: whether it must be closed by the person.

    """
    payload = {"callback_query_id": callback_query_id, "text": _clean(text)[:200], "is_alert": is_alert}
    key = f"callback:{callback_query_id}"
    return _owe(chat, DeliveryKind.CALLBACK_ANSWER, key, payload, settings.BOT_TAP_DEADLINE_SECONDS)


def show_typing(chat: Chat) -> Delivery:
    """Owe a chat the word "typing", which Telegram shows for five seconds; useless a moment later."""
    waiting = Delivery.objects.filter(chat=chat, kind=DeliveryKind.ACTION, status=DeliveryStatus.PENDING)
    if (found := waiting.first()) is not None:
        return found
    key = f"typing:{uuid4().hex}"
    return _owe(chat, DeliveryKind.ACTION, key, {}, settings.BOT_ACTION_DEADLINE_SECONDS)


#: Why a message is dropped whose chat cannot be reached.
_UNREACHED = ("chat_blocked", "chat_gone")
_NEWS_FOR = timedelta(days=1)
_MOST_NEWS = 20
_SETTLED = (DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.DROPPED)


def _owe(chat: Chat, kind: DeliveryKind, key: str, payload: dict[str, Any], seconds: int) -> Delivery:
    row, is_new = Delivery.objects.get_or_create(
        idempotency_key=key,
        defaults={"chat": chat, "kind": kind, "payload": payload, "deadline_at": _after(seconds)},
    )
    if is_new:
        enqueue(tasks.deliver, chat_id=chat.pk)
    return row


def _after(seconds: int) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def _readable(text: str) -> str:
    cleaned = _clean(text)
    if not cleaned.strip():
        raise EmptyText
    return cleaned


def _clean(text: str) -> str:
    """Drop what neither Telegram nor the database takes: NUL and halves of characters."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _rows(buttons: Buttons) -> list[list[dict[str, str]]]:
    for button in (button for row in buttons for button in row):
        if len(button.data.encode()) > CALLBACK_DATA_BYTES:
            raise Invalid(f"A button's data may have {CALLBACK_DATA_BYTES} bytes.", code="button_too_large")
    return [[button.as_json() for button in row] for row in buttons if row]
