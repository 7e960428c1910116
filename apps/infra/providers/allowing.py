"""Default-deny: what can harm a server reaches its provider only for servers that the operator listed."""

from collections.abc import Callable, Collection, Sequence

from apps.infra.providers.base import (
    ListedServer,
    NotAllowed,
    Provider,
    ProviderTask,
    ServerDetails,
)


class AllowingProvider:
    """A provider of which only listed servers exist; the list is read anew at every call."""

    def __init__(self, provider: Provider, *, allowed: Callable[[], Collection[str]]) -> None:
        """Stand before a provider.

        Args:
            provider: who is asked.
            allowed: returns what the operator listed, each ``provider:id``; empty means none.

        """
        self._provider, self._allowed = provider, allowed
        self.name = provider.name

    def list_servers(self) -> Sequence[ListedServer]:
        """Return the listed servers of the account; the others are nobody's business."""
        allowed = frozenset(self._allowed())
        listed = self._provider.list_servers()
        return [server for server in listed if f"{self.name}:{server.provider_id}" in allowed]

    def get_details(self, provider_id: str) -> ServerDetails:
        """See ``Provider``."""
        self._check(provider_id)
        return self._provider.get_details(provider_id)

    def list_systems(self, provider_id: str) -> Sequence[str]:
        """See ``Provider``."""
        self._check(provider_id)
        return self._provider.list_systems(provider_id)

    def reset_password(self, provider_id: str) -> str:
        """See ``Provider``."""
        self._check(provider_id)
        return self._provider.reset_password(provider_id)

    def reinstall(self, provider_id: str, *, system: str, public_key: str) -> str:
        """See ``Provider``."""
        self._check(provider_id)
        return self._provider.reinstall(provider_id, system=system, public_key=public_key)

    def get_task(self, provider_id: str, task: str) -> ProviderTask:
        """See ``Provider``; a task that is under way is looked at even if its server left the list."""
        return self._provider.get_task(provider_id, task)

    def _check(self, provider_id: str) -> None:
        if not provider_id or f"{self.name}:{provider_id}" not in self._allowed():
            raise NotAllowed(
                f"Server {provider_id!r} of {self.name} is not on the operator's list of servers.",
                code="not_managed",
                details={"provider_id": provider_id},
            )
