"""What the bot could not do and will not do by itself, so that an operator sees it."""

import logging
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from apps.bot.models import Chat, Delivery, Trouble

logger = logging.getLogger(__name__)

TOKEN_TROUBLE: Final = "telegram_token_refused"  # the key of a trouble, no token


def token_words(said: str) -> str:
    """Tell an operator what to do about a token that Telegram does not take any more."""
    return (
        f"{said} It was revoked, or is another bot's. Get a new one from @BotFather (/token), set"
        " TELEGRAM_BOT_TOKEN to it and start the system again; what is owed to people is sent then."
    )


def report(
    *, key: str, code: str, message: str, chat: Chat | None = None, delivery: Delivery | None = None
) -> None:
    """Open a trouble, or count the open one with the same key once more.

    Args:
        key: says when it is the same trouble again.
        code: a stable word.
        message: for the operator; nothing that people wrote, and no secret.
        chat: whom it concerns.
        delivery: what was not delivered.

    """
    now = timezone.now()
    again = {"times": F("times") + 1, "last_at": now, "message": message[:2_000]}
    if Trouble.objects.filter(key=key, resolved_at=None).update(**again):
        return
    try:
        with transaction.atomic():
            Trouble.objects.create(
                key=key, code=code, message=message[:2_000], chat=chat, delivery=delivery, last_at=now
            )
    except IntegrityError:
        Trouble.objects.filter(key=key, resolved_at=None).update(**again)
    logger.warning("Trouble %s: %s", code, message)


def resolve(key: str) -> bool:
    """Close a trouble that is over; False if there was none."""
    return bool(Trouble.objects.filter(key=key, resolved_at=None).update(resolved_at=timezone.now()))
