"""The providers that this installation has an account with."""

from collections.abc import Sequence

from django.conf import settings

from apps.infra.models import ServerProvider
from apps.infra.providers.allowing import AllowingProvider
from apps.infra.providers.base import NotAllowed, Provider
from apps.infra.providers.manual import ManualProvider
from apps.infra.providers.time4vps import Time4Vps


def list_providers() -> Sequence[Provider]:
    """Return whoever can be asked for servers; nobody without an account, or while no server is named."""
    has_account = settings.TIME4VPS_USERNAME and settings.TIME4VPS_PASSWORD
    return (
        [get_provider(ServerProvider.TIME4VPS)] if has_account and settings.INFRA_MANAGED_SERVER_IDS else []
    )


def get_provider(name: str) -> Provider:
    """Return a provider, of which only the named servers exist; the names are read at every call.

    Raises:
        NotAllowed: there is no account with it.

    """
    if name == ServerProvider.MANUAL:
        return ManualProvider()
    if name == ServerProvider.TIME4VPS and settings.TIME4VPS_USERNAME and settings.TIME4VPS_PASSWORD:
        account = Time4Vps(
            username=settings.TIME4VPS_USERNAME,
            password=settings.TIME4VPS_PASSWORD,
            url=settings.TIME4VPS_API_BASE_URL,
        )
        return AllowingProvider(account, allowed=lambda: settings.INFRA_MANAGED_SERVER_IDS)
    raise NotAllowed(f"There is no account with {name}.", details={"provider": name})
