"""Takes secrets out of what a container wrote before it is stored."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from worker_image.streams import Entry

MASK: Final = "***"
_USERINFO: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_AUTHORIZATION: Final = re.compile(r"(?i)\b(bearer|token|worker|basic)\s+[A-Za-z0-9._~+/=-]{16,}")
_SHORTEST_SECRET: Final = 8


def mask_entry(entry: Entry, secrets: Iterable[str]) -> Entry:
    """Return an entry of a worker's output without the given secrets; the same one if none occurs in it."""
    for secret in secrets:
        if entry.data is not None and (found := secret.encode()) in entry.data:
            entry = replace(entry, data=entry.data.replace(found, MASK.encode()))
    return entry


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the given secrets, credentials in URLs, Authorization values and NULs."""
    text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text.replace("\0", "\ufffd"))
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text
