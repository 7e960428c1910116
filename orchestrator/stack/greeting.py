"""What is said of the bot when the stack is up: what it is called, and how the first person comes in."""

import logging
from collections.abc import Mapping
from typing import Final

_TELEGRAM: Final = "https://api.telegram.org"
_SECONDS: Final = 3.0


def bot_line(settings: Mapping[str, str]) -> str:
    """Ask Telegram whose the bot's token is; empty where no bot is asked for.

    Args:
        settings: of the stack's processes.
    """
    token = settings.get("TELEGRAM_BOT_TOKEN", "")
    if not token:
        return ""
    from apps.telegram import get_me

    # It writes addresses down, and the token is part of this one.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    found = get_me(settings.get("TELEGRAM_API_BASE_URL") or _TELEGRAM, token, timeout_seconds=_SECONDS)
    if found.is_refused:
        return "Telegram does not know its token; correct TELEGRAM_BOT_TOKEN, then `make down` and `make up`"
    name = f"@{found.username}" if found.is_healthy else "Telegram cannot be asked for its name now"
    return f"{name}; .venv/bin/python manage.py invite lets one person in, the first one as owner"
