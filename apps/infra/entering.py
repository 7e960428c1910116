"""The last look at a release before it counts as live: it is reached where people reach its project."""

import time
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from apps.infra import answering, entrances
from apps.infra.answering import Answer, Smoke
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.infra.targets.base import JobState
from apps.infra.targets.entrance import Door

_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """What was seen at the address of a project.

    Attributes:
        url: the address.
        answer: what came back; None if the way does not lead to the release.
        problem: why it does not.
        is_elsewhere: the project was given another address; look again.
    """

    url: str
    answer: Answer | None = None
    problem: str = ""
    is_elsewhere: bool = False


def enter(row: ServiceDeployment, answer: Answer, *, state: JobState, port: int, smoke: Smoke) -> Entered:
    """Let the project's port lead to a release that answers at its own, and ask it there.

    Args:
        row: the release.
        answer: what it said at its own port; where there is no entrance, that is its address.
        state: of its process.
        port: its own.
        smoke: how it is asked.

    Raises:
        NoCapacity: the project has no port yet, and none is left.
        TargetUnavailable: nobody can tell where the project's port leads.
    """
    entrance = entrances.open_for(row)
    if entrance is None:
        return Entered(url=entrances.address_of(row), answer=answer)
    coming = ServiceDeployment.objects.filter(pk=row.pk, status=DeploymentStatus.STARTING)
    coming.filter(answered_at=None).update(answered_at=timezone.now())
    door = _wait(smoke, entrance, port)
    url = entrances.address_of(row)
    if door.problem:
        text = f"{url} cannot be opened: {door.problem}."
        return Entered(url=url, problem=text, is_elsewhere=entrances.move(row))
    if door.leads_to != port:
        return Entered(url=url, problem=f"{url} does not lead to the release.")
    asked = url.rstrip("/") + row.health_path
    return Entered(url=url, answer=answering.ask(row, url=asked, started_at=state.started_at, smoke=smoke))


def leave(row: ServiceDeployment) -> None:
    """Let the project's port lead to the release of before again, if there is one."""
    ServiceDeployment.objects.filter(pk=row.pk).exclude(answered_at=None).update(answered_at=None)


def _wait(smoke: Smoke, entrance: int, port: int) -> Door:
    until = time.monotonic() + smoke.ask_seconds
    while True:
        door = smoke.entrance(entrance)
        if door.leads_to == port or door.problem or time.monotonic() > until:
            return door
        time.sleep(_PAUSE_SECONDS)
