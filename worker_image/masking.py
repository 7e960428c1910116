"""Takes known secrets out of JSON that is about to be sent or stored.

Exact values only: an agent that encodes a secret gets it past this. It is for those that print their
environment, or are told to.
"""

import json
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from worker_image.contract import ENV_REDIS_URL

MASK = "***"
SHORTEST_SECRET = 8
"""Characters; what is shorter is found in too many words that are none."""
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def secrets_of(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets among a worker's variables: by their names, and the channel's password."""
    named = {value for name, value in variables.items() if name.upper().endswith(_SECRET_NAMES)}
    try:
        password = urlsplit(variables.get(ENV_REDIS_URL, "")).password
    except ValueError:
        password = None
    return needles({*named, password or ""})


def needles(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the forms in which secrets stand in JSON, the longest first."""
    known = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
    escaped = {json.dumps(secret, ensure_ascii=False)[1:-1] for secret in known}
    return tuple(sorted(known | escaped, key=len, reverse=True))


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return JSON without the given needles; the text itself if none occurs in it."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text
