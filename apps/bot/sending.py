"""What a delivery is at Telegram: one call, of one message at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils import translation
from django.utils.translation import gettext as _

from apps.bot import splitting
from apps.bot.models import Chat, Delivery, DeliveryKind, DeliveryStatus
from apps.bot.models.delivery import UNSETTLED
from apps.bot.telegram import TelegramClient

#: They wait for nobody: out of their moment they are useless, or they must not be late.
EXPRESS: Final = frozenset({DeliveryKind.DELETE, DeliveryKind.CALLBACK_ANSWER, DeliveryKind.ACTION})

Rows = Sequence[Sequence[Mapping[str, str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A delivery as it was when its sending began."""

    delivery: Delivery
    chat: Chat
    may_be_there: bool
    """An earlier attempt may have arrived."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What came of it."""

    message_id: int | None = None
    is_complete: bool = True
    """False: a long text has further parts."""


def is_edit(delivery: Delivery) -> bool:
    """Whether a message that is there already only changes."""
    return delivery.kind == DeliveryKind.CARD and delivery.shown_revision > 0


def send(parcel: Parcel, client: TelegramClient) -> Sent:
    """Do at Telegram what a delivery wants, or the next part of it.

    Raises:
        TelegramError: it was not done, or nobody knows.

    """
    return _SENDERS[DeliveryKind(parcel.delivery.kind)](parcel, client)


def _text(parcel: Parcel, client: TelegramClient) -> Sent:
    row = parcel.delivery
    parts = splitting.split(row.payload["text"])
    # The same text is always cut at the same places.
    index = min(row.parts_sent, len(parts) - 1)
    is_last = index == len(parts) - 1
    text, buttons = _shaped(parcel, parts[index], row.payload.get("buttons", []) if is_last else [])
    message_id = client.send_text(
        parcel.chat.telegram_id,
        text,
        buttons=buttons,
        is_plain=row.is_plain,
        is_quiet=bool(row.payload.get("is_quiet")),
    )
    return Sent(message_id=message_id, is_complete=is_last)


def _card(parcel: Parcel, client: TelegramClient) -> Sent:
    row, chat_id = parcel.delivery, parcel.chat.telegram_id
    text, buttons = _shaped(parcel, splitting.shorten(row.payload["text"]), row.payload.get("buttons", []))
    if is_edit(row) and row.message_id is not None:
        client.edit_text(chat_id, row.message_id, text, buttons=buttons, is_plain=row.is_plain)
        return Sent(message_id=row.message_id)
    is_quiet = bool(row.payload.get("is_quiet"))
    sent = client.send_text(chat_id, text, buttons=buttons, is_plain=row.is_plain, is_quiet=is_quiet)
    return Sent(message_id=sent)


def _delete(parcel: Parcel, client: TelegramClient) -> Sent:
    payload = parcel.delivery.payload
    ids = [payload["message_id"]] if payload.get("message_id") else []
    if payload.get("of"):
        ids += _withdraw(parcel.chat, payload["of"])
    for message_id in ids:
        client.delete(parcel.chat.telegram_id, message_id)
    return Sent(message_id=ids[-1] if ids else None)


def _withdraw(chat: Chat, key: str) -> list[int]:
    """See that a delivery is not sent any more, and return the messages that it became."""
    row = Delivery.objects.filter(chat=chat, idempotency_key=key).first()
    if row is None:
        return []
    # One that is being sent was left by a process that died: we hold the lock of its chat.
    Delivery.try_transition(row.pk, to=DeliveryStatus.DROPPED, expect=UNSETTLED)
    sent = row.payload.get("sent_ids") or [row.message_id]
    return [number for number in sent if isinstance(number, int)]


def _callback_answer(parcel: Parcel, client: TelegramClient) -> Sent:
    payload = parcel.delivery.payload
    client.answer_callback(
        payload["callback_query_id"], payload.get("text", ""), is_alert=bool(payload.get("is_alert"))
    )
    return Sent()


def _action(parcel: Parcel, client: TelegramClient) -> Sent:
    client.show_typing(parcel.chat.telegram_id)
    return Sent()


_SENDERS: Final = {
    DeliveryKind.TEXT: _text,
    DeliveryKind.CARD: _card,
    DeliveryKind.DELETE: _delete,
    DeliveryKind.CALLBACK_ANSWER: _callback_answer,
    DeliveryKind.ACTION: _action,
}


def _shaped(parcel: Parcel, text: str, buttons: list[Any]) -> tuple[str, Rows]:
    """Return a text, and the buttons below it, as they are sent this time."""
    row = parcel.delivery
    rows: list[list[dict[str, str]]] = buttons
    if row.is_plain:
        # What was refused may have been a link below it: then its address is told.
        links = [button for row in rows for button in row if button.get("url")]
        lines = [splitting.plain(text), *(f"{button['text']}: {button['url']}" for button in links)]
        text = "\n".join(lines)
        rows = [[button for button in row if not button.get("url")] for row in rows]
    if row.is_repeated if is_edit(row) else parcel.may_be_there:
        text = f"{again_mark(parcel.chat.language)}\n{text}"
    return text, rows


def again_mark(language: str) -> str:
    """Return what tells a person that a message may be there twice."""
    with translation.override(language):
        return _("(again)")
