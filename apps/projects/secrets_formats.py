"""What a secret has to look like, before anything is done with it; pure. No answer shows a value."""

import re
from typing import Final
from urllib.parse import urlsplit

from apps.projects.environment_contract import SecretFormat

_TELEGRAM: Final = re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{30,100}")
_OPENAI: Final = re.compile(r"sk-[A-Za-z0-9_-]{16,500}")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_URL_CHARACTERS: Final = 4_000


def cleaned(value: str, kind: SecretFormat) -> str:
    """Return a value without the space that copying leaves around it; a text is left as it is."""
    return value if kind == "text" else value.strip()


def is_bot_token(value: str) -> bool:
    """Tell whether a value is the token of a Telegram bot, whatever somebody calls it."""
    return bool(_TELEGRAM.fullmatch(value))


def format_problem(value: str, kind: SecretFormat) -> str | None:
    """Tell what is wrong with a value, if anything; it does not say what the value is."""
    match kind:
        case "telegram_bot_token":
            is_one, wanted = is_bot_token(value), "the token of a Telegram bot: 123456789:AA…"
        case "openai_key":
            is_one, wanted = bool(_OPENAI.fullmatch(value)), "an OpenAI key: it begins with sk-"
        case "url":
            is_one, wanted = _is_url(value), "an address with its scheme: https://…"
        case "text":
            return None
    return None if is_one else f"must be {wanted}"


def _is_url(value: str) -> bool:
    if len(value) > _URL_CHARACTERS or any(not c.isprintable() or c.isspace() for c in value):
        return False
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return has_host and bool(_SCHEME.fullmatch(parts.scheme))
