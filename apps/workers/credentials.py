"""A worker's two secrets: derived, never stored.

A repeated start computes the same values; the row holds only their SHA-256.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerCredentials:
    """The secrets of one worker."""

    token: str = field(repr=False)
    """What it shows to the API."""
    password: str = field(repr=False)
    """Password of its user on the channel server."""

    @property
    def token_sha256(self) -> str:
        """Return what the row keeps of the token."""
        return digest(self.token)

    @property
    def password_sha256(self) -> str:
        """Return what the row, and the channel server, keep of the password."""
        return digest(self.password)


def credentials_of(worker_id: UUID) -> WorkerCredentials:
    """Return the secrets of a worker; the same ones every time."""
    return WorkerCredentials(
        token=_derive("worker-token", worker_id), password=_derive("channel-password", worker_id)
    )


def digest(secret: str) -> str:
    """Return the SHA-256 under which a secret is known."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _derive(purpose: str, worker_id: UUID) -> str:
    return hmac.new(
        settings.SECRET_KEY.encode(), f"{purpose}:{worker_id}".encode(), hashlib.sha256
    ).hexdigest()
