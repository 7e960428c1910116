"""What only a secret looks like."""

import json
import re

from apps.projects.bundle_secrets import find_secrets

_TOKEN = re.compile(r"(?<![0-9A-Za-z])[0-9]{5,20}:[A-Za-z0-9_-]{30,100}(?![A-Za-z0-9_-])")

#: Words that come after a command, before a value.
_PROJECT_AND_NAME = 2
_PRIVATE_KEY = re.compile(r"\s*-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^-]+-----END \1-----\s*")


def find_tokens(text: str) -> list[str]:
    """Return what looks like the token of a Telegram bot."""
    return _TOKEN.findall(text)


def looks_secret(text: str) -> bool:
    """Tell whether a text holds something that only a secret looks like."""
    return bool(find_tokens(text)) or next(find_secrets(text.encode()), None) is not None


def is_complete(text: str) -> bool:
    """Tell whether nothing can follow by the form of a text: a private key, or a record in JSON."""
    if _PRIVATE_KEY.fullmatch(text):
        return True
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def is_whole(text: str, argument: str) -> bool:
    """Tell whether nothing can follow by the form of a message, or of the value in a command's argument."""
    given = argument.split(maxsplit=_PROJECT_AND_NAME)[_PROJECT_AND_NAME:]
    return any(map(is_complete, [text, *given]))
