"""What attempts at servers are made with."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from apps.infra.ansible import Watcher, end_survivors
from apps.infra.first_login import Login
from apps.infra.inventory import PlaybookJob
from apps.infra.providers.base import Provider
from apps.infra.providers.manual import ManualProvider
from apps.infra.recap import PlaybookResult


class Playbooks(Protocol):
    """Whatever runs playbooks."""

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        """See ``ansible.Playbooks``."""


def nobody(_name: str) -> Provider:
    """Return a provider that refuses everything."""
    return ManualProvider()


def no_one(_person_id: int) -> bool:
    """Say of everybody that they may not."""
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvisioningTools:
    """What attempts are made with; whatever could erase a server is left out unless it is given."""

    playbooks: Playbooks
    login: Login
    installation: str  # keeps our processes apart from another installation's on this machine
    managed_ids: Callable[[], Collection[str]]
    provider_of: Callable[[str], Provider] = nobody
    may_authorize: Callable[[int], bool] = no_one  # whether a person may have a server erased, today
    containers_allowed: bool = False  # let a server that is a container count as set up
    max_attempts: int = 3
    max_running: int = 1  # on all servers together
    deadline_seconds: float = 900
    reinstall_seconds: float = 3_600  # how long a provider may take for it
    beat_seconds: float = 2
    end_survivors: Callable[[str], int] = end_survivors
    now: Callable[[], datetime] = timezone.now
