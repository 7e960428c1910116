"""What a look at a server means. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apps.infra.health_looking import Look, Measure, Outcome
from apps.infra.models import IncidentSeverity, ServerHealth


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """When a server is unwell; percent."""

    disk_warning: int
    disk_critical: int
    memory_left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Whether one thing is wrong; None: it could not be told, so what was thought before stays."""

    kind: str
    is_wrong: bool | None
    message: str = ""
    severity: str = IncidentSeverity.WARNING
    details: Mapping[str, Any] = field(default_factory=dict)


#: What a look that did not get in is called, and what it is told as.
REFUSALS: Mapping[Outcome, Finding] = {
    Outcome.UNREACHABLE: Finding(
        kind="unreachable",
        is_wrong=True,
        message="The server does not answer.",
        severity=IncidentSeverity.CRITICAL,
    ),
    Outcome.HOST_KEY_CHANGED: Finding(
        kind="host_key_changed",
        is_wrong=True,
        message="The server shows another host key than before; nothing was said to it. "
        "Compare the new one with the server's own, and only then change it on its page.",
        severity=IncidentSeverity.CRITICAL,
    ),
    Outcome.LOGIN_REFUSED: Finding(
        kind="login_refused",
        is_wrong=True,
        message="The server does not let our key in.",
        severity=IncidentSeverity.CRITICAL,
    ),
}


#: What is told once, of nobody in particular, when servers fall silent together.
OWN_NETWORK: Final = Finding(
    kind="own_network",
    is_wrong=True,
    message="Most servers fell silent in the same round. Our own network is suspected, so none of them is "
    "called unreachable: see whether this machine reaches them.",
    severity=IncidentSeverity.CRITICAL,
)


def is_our_own(*, silent: int, looked_at: int, least: int, percent: int) -> bool:
    """Tell whether servers that fell silent together say more about our own network than about theirs.

    Args:
        silent: how many do not answer, of those that were not known for it before.
        looked_at: how many of those were looked at.
        least: fewer silent ones say nothing.
        percent: the share of them that must be silent.

    """
    return silent >= least and silent * 100 >= looked_at * percent


def judge(look: Look, thresholds: Thresholds) -> Sequence[Finding]:
    """Return what a look that got in tells about each thing that can be wrong."""
    if look.measure is None:
        return ()
    return tuple(_findings(look.measure, thresholds))


def health_of(look: Look, findings: Sequence[Finding]) -> str:
    """Return the word for a server's health after a look."""
    if look.outcome is Outcome.BROKEN:
        return ServerHealth.UNKNOWN
    if look.outcome is not Outcome.SEEN:
        return ServerHealth.UNREACHABLE
    return ServerHealth.DEGRADED if any(each.is_wrong for each in findings) else ServerHealth.HEALTHY


def _findings(measure: Measure, thresholds: Thresholds) -> Iterator[Finding]:
    used = _percent_used(measure.disk_total_mb, measure.disk_free_mb)
    critical = used is not None and used >= thresholds.disk_critical
    yield Finding(
        kind="disk_full",
        is_wrong=None if used is None else used >= thresholds.disk_warning,
        message=f"{used} % of the disk are in use.",
        severity=IncidentSeverity.CRITICAL if critical else IncidentSeverity.WARNING,
        details={"percent": used, "free_mb": measure.disk_free_mb},
    )
    used = _percent_used(measure.memory_total_mb, measure.memory_available_mb)
    yield Finding(
        kind="memory_low",
        is_wrong=None if used is None else 100 - used < thresholds.memory_left,
        message=f"{used} % of the memory are in use.",
        details={"percent": used, "available_mb": measure.memory_available_mb},
    )
    yield Finding(
        kind="docker_down",
        is_wrong=None if measure.is_docker_well is None else not measure.is_docker_well,
        message="Docker does not answer on the server.",
        severity=IncidentSeverity.CRITICAL,
    )


def _percent_used(total: int | None, free: int | None) -> int | None:
    return None if not total or free is None else round(100 * (1 - min(free, total) / total))
