"""What a server says of its archives, read and judged. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.infra.health_judging import Finding
from apps.infra.models import DrillOutcome, IncidentSeverity

FAILED_KIND: Final = "backup_drill_failed"
OLD_KIND: Final = "backups_old"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_OUTCOMES: Final = frozenset({"restored", "nothing", "failed", "mismatch"})
_MOST_PROJECTS: Final = 500
_CHARACTERS: Final = 300
_NEVER: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillReport:
    """What a drill came to on one server."""

    outcome: DrillOutcome
    projects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    oldest_archive_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillLimits:
    """When archives or drills are too old."""

    archive: timedelta
    drill: timedelta


def read_report(text: str) -> DrillReport | None:
    """Read what the program printed; None if it did not come to its end."""
    try:
        said = json.loads(text)
        results = {name: _project(each) for name, each in said["projects"].items() if _NAME.fullmatch(name)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    results = dict(sorted(results.items())[:_MOST_PROJECTS])
    wrong = [name for name, each in results.items() if each["outcome"] in ("failed", "mismatch")]
    made = [each["made_at"] for each in results.values() if each["outcome"] == "restored"]
    outcome = DrillOutcome.FAILED if wrong else DrillOutcome.PASSED if made else DrillOutcome.EMPTY
    return DrillReport(
        outcome=outcome,
        projects=results,
        oldest_archive_at=_moment(min(made)) if made else None,
        error=f"Not restored: {', '.join(wrong)}"[:_CHARACTERS] if wrong else "",
    )


def judge_drill(
    report: DrillReport | None,
    *,
    drilled_at: datetime | None,
    since: datetime,
    now: datetime,
    limits: DrillLimits,
) -> Sequence[Finding]:
    """Return what is wrong with a server's archives.

    Args:
        report: of the last drill; None: there was none.
        drilled_at: when that was.
        since: when the server was set up.
        now: the time.
        limits: what is too old.

    """
    return tuple(_findings(report, drilled_at, since, now, limits))


def _findings(
    report: DrillReport | None,
    drilled_at: datetime | None,
    since: datetime,
    now: datetime,
    limits: DrillLimits,
) -> Iterator[Finding]:
    yield Finding(
        kind=FAILED_KIND,
        is_wrong=None if report is None else report.outcome == DrillOutcome.FAILED,
        message=f"Its archives could not be restored on trial. {report.error if report else ''}".strip(),
        severity=IncidentSeverity.CRITICAL,
    )
    drill_is_old = now - (drilled_at or since) > limits.drill
    oldest = report.oldest_archive_at if report else None
    # As of the drill: until the next one nobody knows of newer archives.
    archive_is_old = oldest is not None and drilled_at is not None and drilled_at - oldest > limits.archive
    words = "Its archives were not restored on trial for too long."
    if drilled_at is None:
        words = "Its archives have never been restored on trial."
    yield Finding(
        kind=OLD_KIND,
        is_wrong=drill_is_old or archive_is_old,
        message=words if drill_is_old else "The newest archive of a project is too old.",
        details={"oldest_archive": oldest.isoformat() if oldest else None},
    )


def _project(said: Mapping[str, Any]) -> dict[str, Any]:
    outcome = said["outcome"]
    if outcome not in _OUTCOMES:
        raise ValueError(outcome)
    numbers = {name: max(int(said.get(name) or 0), 0) for name in ("made_at", "bytes", "files")}
    words = {name: str(said.get(name) or "")[:_CHARACTERS] for name in ("archive", "error")}
    return {"outcome": outcome, **words, **numbers}


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        # A server may say anything; what cannot be is as old as can be.
        return _NEVER
