"""What a report proves: the only place that turns it into a status. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apps.failures import Failure, FailureKind
from apps.workers.models import VerificationStatus
from apps.workers.verification_report import PhaseReport, Report

_SHOWN_IDS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the row asked to be proven."""

    base_sha: str
    head_sha: str
    allow_removed_tests: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """What was proven."""

    status: VerificationStatus
    failure: Failure | None = None


def judge(asked: Asked, report: Report | None, *, exit_code: int | None, timed_out: bool) -> Ruling:
    """Judge a finished verification.

    Without a readable report of a driver that ended in order nothing is known:
    that is neither a pass nor a failure of the work.

    Args:
        asked: what was to be proven.
        report: what the driver observed; untrusted, but already parsed.
        exit_code: of the driver; None if nobody recorded it.
        timed_out: whether its deadline ended it.

    """
    if timed_out:
        return _crashed("verification_timeout", "The checks were ended at their deadline and left no report.")
    if exit_code != 0 or report is None:
        return _crashed("report_missing", f"The checks ended with {exit_code} and left no usable report.")
    if (report.base_sha, report.head_sha) != (asked.base_sha, asked.head_sha):
        return _crashed("report_foreign", "The report speaks of other commits.")
    failure = _first_failure(asked, report)
    if failure is None:
        return Ruling(status=VerificationStatus.SUCCEEDED)
    crashed = failure.kind is FailureKind.PLATFORM
    return Ruling(
        status=VerificationStatus.CRASHED if crashed else VerificationStatus.FAILED, failure=failure
    )


def _first_failure(asked: Asked, report: Report) -> Failure | None:
    """Return why the commit is not proven; the phases in the order in which they ran."""
    for name in ("fetch", "setup_base", "tests_base"):
        if (failure := _platform_phase(report.phase(name), name)) is not None:
            return failure
    if report.refused_paths:
        return _product(
            "environment_committed", "The commit holds files of an environment", report.refused_paths
        )
    setup = report.phase("setup_head")
    if setup is not None and _went_wrong(setup):
        return _product("setup_failed", f"`{setup.command}` failed: {_how(setup)}")
    return _tests_failure(asked, report)


def _tests_failure(asked: Asked, report: Report) -> Failure | None:
    listed = report.phase("tests_head")
    if listed is None:
        return _platform("report_incomplete", "The tests of the commit were never listed.")
    if _went_wrong(listed):
        return _product("checks_failed", f"The tests cannot be collected: `{listed.command}` {_how(listed)}")
    removed = sorted(set(report.base_tests) - set(report.head_tests))
    if removed and not asked.allow_removed_tests:
        return _product("tests_removed", f"{len(removed)} tests of the base are gone", removed)
    if not report.head_tests:
        return _product("no_tests", "There are no tests, so nothing is proven.")
    return _check_failure(asked, report)


def _check_failure(asked: Asked, report: Report) -> Failure | None:
    check = report.phase("check")
    if check is None:
        return _platform("report_incomplete", "The checks were never run.")
    if check.timed_out:
        return _product("checks_timeout", f"`{check.command}` did not end within its time.")
    if check.exit_code != 0:
        return _product("checks_failed", f"`{check.command}` {_how(check)}", report.failed_tests)
    if report.skipped_tests and not asked.allow_removed_tests:
        message = f"{len(report.skipped_tests)} tests that ran on the base are skipped"
        return _product("tests_skipped", message, report.skipped_tests)
    return None


def evidence_of(report: Report, commands: Mapping[str, str]) -> dict[str, Any]:
    """Return what was observed, in the form that rows and the API carry."""
    counts = report.counts
    removed = sorted(set(report.base_tests) - set(report.head_tests))
    setups = [phase for name in ("setup_base", "setup_head") if (phase := report.phase(name))]
    check = report.phase("check")
    return {
        "base_sha": report.base_sha,
        "commit_sha": report.head_sha,
        "commands": dict(commands),
        "phases": [phase.model_dump() for phase in report.phases],
        "total": counts.total if counts else len(report.head_tests),
        "passed": counts.passed if counts else None,
        "failed": counts.failed if counts else None,
        "skipped": counts.skipped if counts else None,
        "seconds": round(check.seconds, 3) if check else None,
        "install_seconds": round(sum(phase.seconds for phase in setups), 3),
        "total_seconds": round(sum(phase.seconds for phase in report.phases), 3),
        "tests_removed": removed[:_SHOWN_IDS],
        "tests_skipped": list(report.skipped_tests[:_SHOWN_IDS]),
        "tests_failed": list(report.failed_tests[:_SHOWN_IDS]),
        "protected_changed": list(report.protected_changed[:_SHOWN_IDS]),
    }


def _platform_phase(phase: PhaseReport | None, name: str) -> Failure | None:
    """The base was proven before it was merged: what fails on it is not the work's fault."""
    if phase is None:
        return _platform("report_incomplete", f"The report lacks {name}.")
    if _went_wrong(phase):
        return _platform(
            f"{name}_failed", f"`{phase.command}` failed before the work was looked at: {_how(phase)}"
        )
    return None


def _went_wrong(phase: PhaseReport) -> bool:
    return phase.timed_out or phase.exit_code != 0


def _how(phase: PhaseReport) -> str:
    return "did not end within its time" if phase.timed_out else f"ended with exit code {phase.exit_code}"


def _crashed(code: str, message: str) -> Ruling:
    return Ruling(status=VerificationStatus.CRASHED, failure=_platform(code, message))


def _platform(code: str, message: str) -> Failure:
    return Failure(
        stage="verification", kind=FailureKind.PLATFORM, code=code, message=message, retryable=True
    )


def _product(code: str, message: str, ids: Sequence[str] = ()) -> Failure:
    shown = ", ".join(ids[:10])
    return Failure(
        stage="verification",
        kind=FailureKind.PRODUCT,
        code=code,
        message=f"{message}: {shown}" if shown else message,
        retryable=True,
        details={"ids": list(ids[:_SHOWN_IDS])} if ids else {},
    )
