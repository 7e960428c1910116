"""Servers that an operator added: there is nobody to ask."""

from collections.abc import Sequence
from typing import NoReturn

from apps.infra.providers.base import ListedServer, NotAllowed, ProviderTask, ServerDetails


class ManualProvider:
    """Refuses everything, so that nothing is ever concluded from its silence."""

    name = "manual"

    def list_servers(self) -> Sequence[ListedServer]:
        """See ``Provider``."""
        _refuse()

    def get_details(self, provider_id: str) -> ServerDetails:
        """See ``Provider``."""
        _refuse(provider_id)

    def list_systems(self, provider_id: str) -> Sequence[str]:
        """See ``Provider``."""
        _refuse(provider_id)

    def reset_password(self, provider_id: str) -> str:
        """See ``Provider``."""
        _refuse(provider_id)

    def reinstall(self, provider_id: str, *, system: str, public_key: str) -> str:
        """See ``Provider``."""
        _refuse(provider_id, system, public_key)

    def get_task(self, provider_id: str, task: str) -> ProviderTask:
        """See ``Provider``."""
        _refuse(provider_id, task)


def _refuse(*_: str) -> NoReturn:
    raise NotAllowed("An operator added this server; its provider is not known, and cannot be asked.")
