"""Buttons: what each does, for whom, until when; the row is made before anybody can tap.

A button's data is derived from its row and the installation's key, so that a
card can be drawn again with the buttons it has. Only its digest is stored.
"""

import base64
import hashlib
from datetime import timedelta
from typing import Final

from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.bot.models import Callback, Chat
from apps.bot.outbox import Button
from apps.errors import Conflict, NotFound
from apps.projects.models import User

TTL: Final = timedelta(days=7)
_TOKEN_BYTES: Final = 16


class TapUnknown(NotFound):
    """There is no such button."""

    code = "tap_unknown"


class TapForeign(Conflict):
    """The button is somebody else's."""

    code = "tap_foreign"


class TapExpired(Conflict):
    """The button has expired."""

    code = "tap_expired"


class TapUsed(Conflict):
    """The button was used already."""

    code = "tap_used"


def button(
    text: str,
    *,
    chat: Chat,
    user: User | None,
    action: str,
    key: str,
    subject: object = "",
    argument: str = "",
    ttl: timedelta = TTL,
    is_reusable: bool = False,
) -> Button:
    """Make a button, or the same one again.

    Args:
        text: on it.
        chat: where it is shown.
        user: who may tap it; None: whoever this private chat is with, account or none.
        action: what a tap does.
        key: names the button for good.
        subject: id of what it is about.
        argument: what else the action needs.
        ttl: how long it works.
        is_reusable: whether it only shows something, so that it may be tapped again.

    """
    row = Callback(
        idempotency_key=key,
        chat=chat,
        user=user,
        action=action,
        subject=str(subject),
        argument=argument,
        is_reusable=is_reusable,
        expires_at=timezone.now() + ttl,
    )
    row.token_sha256 = _digest(_token(row))
    found, _ = Callback.objects.get_or_create(
        idempotency_key=key,
        defaults={field.attname: getattr(row, field.attname) for field in Callback._meta.concrete_fields},
    )
    return Button(text=text, data=_token(found))


def claim(data: str, *, chat: Chat, user: User | None) -> Callback:
    """Return the button that was tapped, locked until the transaction ends.

    Raises:
        TapUnknown: it is none of ours.
        TapForeign: it is not this person's, or was shown in another chat.
        TapUsed: it is good once, and was used.
        TapExpired: too late.

    """
    row = Callback.objects.select_for_update().filter(token_sha256=_digest(data)).first()
    if row is None:
        raise TapUnknown()
    if row.chat_id != chat.pk or row.user_id not in (None, user.pk if user else None):
        raise TapForeign()
    if row.used_at is not None and not row.is_reusable:
        raise TapUsed()
    if row.expires_at <= timezone.now():
        raise TapExpired()
    return row


def action_of(data: str) -> str:
    """Return what a button does; empty if it is none of ours."""
    rows = Callback.objects.filter(token_sha256=_digest(data))
    return rows.values_list("action", flat=True).first() or ""


def use(row: Callback) -> None:
    """Note that a button did what it is for."""
    Callback.objects.filter(pk=row.pk).update(used_at=timezone.now())


def _token(row: Callback) -> str:
    mac = salted_hmac("apps.bot.callbacks", str(row.pk), algorithm="sha256").digest()[:_TOKEN_BYTES]
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _digest(data: str) -> str:
    return hashlib.sha256(data.encode(errors="replace")).hexdigest()
