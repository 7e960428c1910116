"""Where settings become objects of this app."""

import hashlib
import hmac
import threading
from typing import Final

from django.conf import settings

from apps.bot.telegram import TelegramClient

_PURPOSE: Final = b"telegram webhook"
_held = threading.local()


def get_client() -> TelegramClient:
    """Return this thread's connection to Telegram; a process that was forked gets one of its own."""
    asked = (settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_API_BASE_URL)
    held: tuple[tuple[str, str], TelegramClient] | None = getattr(_held, "client", None)
    if held is not None and held[0] == asked:
        return held[1]
    close_client()
    _held.client = (asked, client := new_client())
    return client


def close_client() -> None:
    """Close this thread's connection, if it has one."""
    if (held := getattr(_held, "client", None)) is not None:
        held[1].close()
        _held.client = None


def new_client() -> TelegramClient:
    """Return a connection of one's own, to be closed."""
    return TelegramClient(
        settings.TELEGRAM_BOT_TOKEN,
        base_url=settings.TELEGRAM_API_BASE_URL,
        request_seconds=settings.BOT_REQUEST_SECONDS,
    )


def has_bot() -> bool:
    """Whether this process can be the bot, or speak for it."""
    return bool(settings.TELEGRAM_BOT_TOKEN)


def is_served() -> bool:
    """Whether there is a bot at all, here or in a process that alone holds its token."""
    return has_bot() or "TELEGRAM_BOT_TOKEN" in settings.SECRETS_ELSEWHERE


def webhook_secret() -> str:
    """Return what Telegram must send with every update: ours alone, and different for every bot."""
    message = _PURPOSE + settings.TELEGRAM_BOT_TOKEN.encode()
    return hmac.new(settings.SECRET_KEY.encode(), message, hashlib.sha256).hexdigest()
