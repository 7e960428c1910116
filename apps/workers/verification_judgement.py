"""What the report of a verification proves: the only place that turns it into an outcome. Pure.

A pass needs all of it: the driver ended in order and speaks of these commits;
installation and checks of the change ended with 0; every test of the base is
still there and was run, unless it may be removed or the base does not run it
either; there is at least one test; and the checks said what became of the
tests, unless those of the base say nothing either.

What cannot be compared is not excused: names that are missing from the checks'
test report count as skipped; if there is no such report, no more tests may be
skipped, and no fewer run, than on the base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from apps.failures import Failure, FailureKind
from worker_image.verify.report import EXIT_DONE, EXIT_PROBLEM
from worker_image.verify.schema import Phase, Report, read_report

_SHOWN: Final = 100
_STAGE: Final = "verification"
_BASE_PHASES: Final = ("setup_base", "tests_base", "setup_again")


class Outcome(StrEnum):
    """What a verification came to."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the work said no
    CRASHED = "crashed"  # could not run: neither a pass nor a failure of the work


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """An outcome, what it rests on, and why it is no pass.

    Attributes:
        evidence: see `_evidence`; empty if there is no report to speak of.
        failure: None after a pass.
        log_tail: the last words of what failed, or else of the checks.
    """

    outcome: Outcome
    evidence: dict[str, Any]
    failure: Failure | None = None
    log_tail: str = ""


def judge(
    report_bytes: bytes | None,
    *,
    exit_code: int | None,
    timed_out: bool,
    base_sha: str,
    head_sha: str,
    allow_removed_tests: bool,
) -> Judgement:
    """Judge a verification whose unit has ended.

    Args:
        report_bytes: ``report.json`` of its work directory, if there is one; untrusted.
        exit_code: of the driver; None, or more than 128, if a signal ended it or nobody knows.
        timed_out: whether the unit's own deadline passed before it ended.
        base_sha: what it was asked to compare with.
        head_sha: what it was asked to prove.
        allow_removed_tests: whether the task may delete or skip tests.

    """
    if exit_code not in (EXIT_DONE, EXIT_PROBLEM):
        # Whoever killed the driver may have left a report of its own.
        code = "verification_timeout" if timed_out else "verification_killed"
        return _crashed(code, f"The checks' driver ended with {exit_code} and proves nothing.")
    report = read_report(report_bytes)
    if report is None:
        return _crashed("report_missing", "The checks left no readable report.")
    if (report.base_sha, report.head_sha) != (base_sha, head_sha):
        return _crashed("report_foreign", "The report speaks of other commits.")
    failure = _why_not(report, exit_code, timed_out=timed_out, allow_removed_tests=allow_removed_tests)
    if failure is None:
        return _judgement(Outcome.SUCCEEDED, report, None)
    crashed = failure.kind is FailureKind.PLATFORM
    return _judgement(Outcome.CRASHED if crashed else Outcome.FAILED, report, failure)


def _why_not(report: Report, exit_code: int, *, timed_out: bool, allow_removed_tests: bool) -> Failure | None:
    """Return the first thing that keeps the commit from being proven, in the order in which they matter."""
    if report.problem is not None:
        return _problem(report, timed_out=timed_out)
    if exit_code != EXIT_DONE:
        return _platform("report_incomplete", "The driver could not go on and did not say why.")
    failure = None if allow_removed_tests else _base_failure(report)
    failure = failure or _setup_failure(report) or _check_failure(report)
    if failure is None:
        failure = _tests_failure(report, allow_removed_tests=allow_removed_tests)
    return failure


def _problem(report: Report, *, timed_out: bool) -> Failure:
    stopped_in = report.stopped_in
    if report.problem == "stopped" and timed_out and stopped_in in ("setup", "check"):
        code = "setup_timeout" if stopped_in == "setup" else "checks_timeout"
        return _product(code, f"`{_command(report, stopped_in)}` had not ended at the deadline.")
    if report.problem == "stopped":
        code = "verification_timeout" if timed_out else "verification_stopped"
        return _platform(code, f"The driver was ended during {stopped_in}.")
    return _platform(str(report.problem), f"The checks could not be run: {report.detail or report.problem}")


def _base_failure(report: Report) -> Failure | None:
    """The base was proven before it was merged: what fails on it is not the work's fault."""
    for name in _BASE_PHASES:
        phase = report.phases.get(name)
        if phase is not None and not phase.is_good:
            message = f"`{_command(report, name)}` fails on the base: {_how(phase)}"
            return _platform("base_unusable", message, log_tail=phase.log_tail)
    if report.tests_base is None:
        return _platform("base_unusable", "The tests of the base cannot be listed.")
    return None


def _setup_failure(report: Report) -> Failure | None:
    setup = report.phases.get("setup")
    if setup is None:
        return _platform("report_incomplete", "The report lacks the installation.")
    if setup.is_good:
        return None
    code = "setup_timeout" if setup.timed_out else "setup_failed"
    return _product(code, f"`{_command(report, 'setup')}` {_how(setup)}", log_tail=setup.log_tail)


def _check_failure(report: Report) -> Failure | None:
    check = report.phases.get("check")
    if check is None:
        return _platform("report_incomplete", "The report lacks the checks.")
    if check.is_good:
        return None
    code = "checks_timeout" if check.timed_out else "checks_failed"
    message = f"`{_command(report, 'check')}` {_how(check)}"
    if report.summary is not None and report.summary.total:
        message += f": {report.summary.failed} of {report.summary.total} tests failed"
    return _product(code, message, log_tail=check.log_tail, tests=_counts(report), removed=report.removed)


def _tests_failure(report: Report, *, allow_removed_tests: bool) -> Failure | None:
    if report.tests_head is None:
        listed = report.phases.get("tests_head")
        message = f"The tests cannot be listed by `{_command(report, 'tests_head')}`."
        return _product("tests_unreadable", message, log_tail=listed.log_tail if listed else "")
    if not allow_removed_tests:
        if report.removed:
            return _named("tests_removed", "Tests of the base are gone", report.removed)
        if report.newly_skipped:
            return _named("tests_skipped", "Tests that the base runs are not run", report.newly_skipped)
        if _runs_less_than_base(report):
            return _product("tests_skipped", "Fewer tests are run, or more are skipped, than on the base.")
    if not report.tests_head or (report.summary is not None and not report.summary.total):
        return _product("no_tests", "There are no tests, so nothing is proven.")
    if report.summary is None and report.summary_base is not None:
        # A check that ends early with 0 looks exactly like this.
        return _product("tests_not_reported", "The checks ended well without a word about any test.")
    return None


def _runs_less_than_base(report: Report) -> bool:
    """Compare numbers where names cannot be; a base that says nothing skips nothing."""
    here, base = report.summary, report.summary_base
    if here is None or report.not_run is not None:
        return False
    if base is None:
        return here.skipped > 0
    return here.skipped > base.skipped or here.total - here.skipped < base.total - base.skipped


def _judgement(outcome: Outcome, report: Report, failure: Failure | None) -> Judgement:
    check = report.phases.get("check")
    blamed = failure.details.get("log_tail") if failure else None
    return Judgement(
        outcome=outcome,
        evidence=_evidence(report),
        failure=failure,
        log_tail=str(blamed or (check.log_tail if check else "")),
    )


def _evidence(report: Report) -> dict[str, Any]:
    """Return what was observed, in the form that rows and the API carry.

    ``total``, ``passed``, ``failed``, ``skipped``: of the checks' own report, absent if it said nothing.
    ``install_seconds`` of all installations, ``seconds`` of all that judged the work (listing the
    tests of base and head included), ``phases`` of each phase.
    """
    seconds = {name: phase.seconds for name, phase in report.phases.items()}
    installation = sum(took for name, took in seconds.items() if name.startswith("setup"))
    judging = [took for name, took in seconds.items() if name.startswith(("tests", "check"))]
    times = {"install_seconds": round(installation, 3)}
    if judging:
        times["seconds"] = round(sum(judging), 3)
    return {
        "commit": report.head_sha,
        "base": report.base_sha,
        "tree": report.tree,
        "commands": dict(report.commands),
        "phases": seconds,
        "total_seconds": round(sum(seconds.values()), 3),
        **times,
        **_counts(report),
        "tests_listed": None if report.tests_head is None else len(report.tests_head),
        "removed_tests": report.removed[:_SHOWN],
        "skipped_tests": report.newly_skipped[:_SHOWN],
        "restored_files": list(report.restored[:_SHOWN]),
    }


def _counts(report: Report) -> dict[str, int]:
    if report.summary is None:
        return {}
    return report.summary.model_dump(exclude={"source"})


def _command(report: Report, phase: str) -> str:
    return report.commands.get(phase.partition("_")[0], phase)


def _how(phase: Phase) -> str:
    return "did not end within its time" if phase.timed_out else f"ended with exit code {phase.exit_code}"


def _named(code: str, message: str, names: Sequence[str]) -> Failure:
    shown = ", ".join(name[:200] for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return _product(code, f"{message}: {shown}{more}", tests=list(names[:_SHOWN]))


def _product(code: str, message: str, **details: Any) -> Failure:
    return _failure(FailureKind.PRODUCT, code, message, details)


def _platform(code: str, message: str, **details: Any) -> Failure:
    return _failure(FailureKind.PLATFORM, code, message, details)


def _failure(kind: FailureKind, code: str, message: str, details: Mapping[str, Any]) -> Failure:
    known = {name: value for name, value in details.items() if value}
    return Failure(stage=_STAGE, kind=kind, code=code, message=message, retryable=True, details=known)


def _crashed(code: str, message: str) -> Judgement:
    return Judgement(outcome=Outcome.CRASHED, evidence={}, failure=_platform(code, message))
