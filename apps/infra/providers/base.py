"""The port to a provider of servers, and the errors that its answers become.

A failed listing is an error, never an empty list. What erases or locks
out is a task at the provider: asked for once, then looked at until it is over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apps.errors import Conflict, OrchestratorError, Unavailable


class ProviderAway(Unavailable):
    """The provider does not answer; what it was asked to do may have been done."""

    code = "provider_away"


class Throttled(Unavailable):
    """The provider wants to be asked later."""

    code = "provider_throttled"

    def __init__(self, *, retry_after: float) -> None:
        """Remember the interval that the provider named, in seconds."""
        self.retry_after = retry_after
        super().__init__(details={"retry_after_seconds": retry_after})


class NotAllowed(Conflict):
    """The provider refuses, or we do: the server is not on our list, or nobody can be asked."""

    code = "provider_not_allowed"


class Malformed(OrchestratorError):
    """The provider's answer cannot be understood, so nothing is concluded from it."""

    code = "provider_malformed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedServer:
    """What a listing tells of a server."""

    provider_id: str  # the provider's own; never changes
    name: str
    address: str  # empty: it has none, yet


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerDetails:
    """What a provider tells of one server; what it does not tell is None."""

    provider_id: str
    address: str
    system: str  # the provider's name of what is installed; empty: nothing is
    cpus: int | None
    memory_mb: int | None
    disk_mb: int | None
    is_active: bool
    is_busy: bool  # a task of it is under way
    is_reinstalling: bool = False  # that task erases it and installs it anew
    task: str = ""  # the number of that task; empty: the provider does not tell


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderTask:
    """How far something is that a provider was asked to do."""

    name: str
    is_done: bool
    password: str = field(default="", repr=False)  # told once; whoever reads it must keep it


class Provider(Protocol):
    """Somebody who rents servers to us. Every method may raise any of this module's errors."""

    name: str

    def list_servers(self) -> Sequence[ListedServer]:
        """Return all servers of the account."""

    def get_details(self, provider_id: str) -> ServerDetails:
        """Return what is known of one server."""

    def list_systems(self, provider_id: str) -> Sequence[str]:
        """Return what can be installed on a server, by the provider's names."""

    def reset_password(self, provider_id: str) -> str:
        """Have the administrator's password replaced; returns the number of the task, which will tell it."""

    def reinstall(self, provider_id: str, *, system: str, public_key: str) -> str:
        """Erase a server and install it anew; returns the number of the task.

        Args:
            provider_id: which server.
            system: one of ``list_systems``.
            public_key: lets its owner in afterwards, as in an authorized_keys file; may be empty.

        """

    def get_task(self, provider_id: str, task: str) -> ProviderTask:
        """Return how far a task is."""
