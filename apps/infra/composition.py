"""Where settings become objects of this app."""

from functools import cache
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model

from apps.infra import identities, providing
from apps.infra.ansible import Playbooks
from apps.infra.answering import Smoke
from apps.infra.first_login import SshLogin
from apps.infra.models import IdentityPurpose, Server, ServerStatus
from apps.infra.provisioning_tools import ProvisioningTools
from apps.infra.targets.base import DeployTarget, TargetUnavailable
from apps.infra.targets.entrance import LocalEntrance
from apps.infra.targets.local import LocalTarget
from apps.infra.targets.server import ServerTarget
from apps.infra.targets.ssh import SshAccess
from apps.roles import powers
from apps.units import toolchain
from apps.units.environment import base_environment
from apps.units.supervisor import Units

#: What a person has taken out still finishes, and stops, what is on it.
_OPEN: Final = (ServerStatus.ACTIVE, ServerStatus.MAINTENANCE)
DEFAULT_TELEGRAM_URL = "https://api.telegram.org"


@cache
def get_target() -> DeployTarget:
    """Return the deploy target of this installation."""
    tools = toolchain.prepare(settings.TOOLS_DIR)
    return LocalTarget(
        units=Units(settings.UNITS_DIR),
        releases=settings.DEPLOYMENTS_DIR,
        data=settings.DATA_DIR,
        environment=base_environment(tools, outer=settings.UNITS_OUTER_ENVIRONMENT) | telegram_environment(),
    )


def get_server_target(server: Server) -> DeployTarget:
    """Return the deploy target on a server, logged in to as its user of deployments.

    Raises:
        TargetUnavailable: it cannot be logged in to.
    """
    if server.status not in _OPEN:
        # Whoever looks at servers says when it is back; nobody else waits at its door meanwhile.
        text = f"The server {server.name} is away ({server.status})."
        raise TargetUnavailable(text, code="server_unreachable")
    key = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
    if not (server.ssh_user and server.host_key and key):
        text = f"The server {server.name} lacks its user or a key."
        raise TargetUnavailable(text, code="server_incomplete")
    access = SshAccess(
        host=server.host,
        port=server.ssh_port,
        user=server.ssh_user,
        host_key=server.host_key,
        private_key=key.private_key,
    )
    return ServerTarget(access)


def telegram_environment() -> dict[str, str]:
    """Return where the projects' bots find Telegram, if that is not where everybody finds it."""
    url = settings.TELEGRAM_API_BASE_URL
    return {} if url == DEFAULT_TELEGRAM_URL else {"TELEGRAM_API_URL": url}


def get_provisioning_tools() -> ProvisioningTools:
    """Return what servers are set up with."""
    return ProvisioningTools(
        playbooks=Playbooks(settings.VAR_DIR / "run" / "playbooks"),
        login=SshLogin(),
        installation=settings.WORKERS_INSTALLATION,
        managed_ids=lambda: settings.INFRA_MANAGED_SERVER_IDS,
        provider_of=providing.get_provider,
        may_authorize=may_authorize,
        containers_allowed=settings.INFRA_CONTAINER_SERVERS,
        max_attempts=settings.INFRA_PROVISIONING_ATTEMPTS,
        max_running=settings.INFRA_MAX_PROVISIONINGS,
        deadline_seconds=settings.INFRA_PROVISIONING_SECONDS,
        reinstall_seconds=settings.INFRA_REINSTALL_SECONDS,
    )


def may_authorize(person_id: int) -> bool:
    """Tell whether a person may have servers erased, today: who runs the installation and may sign in."""
    people: Any = get_user_model()._default_manager
    person = people.filter(pk=person_id, is_active=True).first()
    return person is not None and powers(person.role).operates


def get_smoke() -> Smoke:
    """Return how releases are asked whether they are well."""
    return Smoke(
        telegram_url=settings.TELEGRAM_API_BASE_URL,
        stable_seconds=settings.INFRA_STABLE_SECONDS,
        entrance=get_entrance(),
    )


def get_entrance() -> LocalEntrance:
    """Return whom to ask where the projects' ports lead."""
    return LocalEntrance(settings.INFRA_ENTRANCE_SOCKET)
