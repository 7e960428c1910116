"""Keyed digests: they tell that two values are equal, and nothing else, to nobody without our key."""

from typing import Final

from django.utils.crypto import salted_hmac

#: Part of the derivation of each key, so that digests of different things are never equal.
_SECRET: Final = "apps.projects.secret"
_ENVIRONMENT: Final = "apps.projects.environment"


def digest_of(value: str) -> str:
    """Return the digest of a secret's value."""
    return salted_hmac(_SECRET, value, algorithm="sha256").hexdigest()


def environment_key() -> bytes:
    """Return the key of the digests of whole environments."""
    return salted_hmac(_ENVIRONMENT, "", algorithm="sha256").digest()
