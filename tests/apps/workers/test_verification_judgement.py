"""What a report proves, row by row."""

import json
from typing import Any

import pytest

from apps.failures import FailureKind
from apps.workers.verification_judgement import Judgement, Outcome, judge

pytestmark = pytest.mark.unit

BASE, HEAD, TREE = "a" * 40, "b" * 40, "c" * 40
GOOD = {"seconds": 0.5, "exit_code": 0, "timed_out": False, "log_tail": ""}
BAD = {"seconds": 2.5, "exit_code": 2, "timed_out": False, "log_tail": "last words"}
LATE = {"seconds": 9.0, "exit_code": None, "timed_out": True, "log_tail": "still"}
TESTS = ["t::one", "t::two"]
STOPPED = {"problem": "stopped", "tests_head": None, "summary": None, "not_run": None}


def phases(**changed: Any) -> dict[str, Any]:
    known = dict.fromkeys(("clone", "setup_base", "tests_base", "setup", "check"), GOOD) | changed
    return {"phases": {name: phase for name, phase in known.items() if phase is not None}}


def summary(passed: int = 2, failed: int = 0, skipped: int = 0) -> dict[str, Any]:
    total = passed + failed + skipped
    return {"source": "junit", "total": total, "passed": passed, "failed": failed, "skipped": skipped}


def report(**fields: Any) -> bytes:
    document = {
        "version": 1,
        "base_sha": BASE,
        "head_sha": HEAD,
        "commands": {"setup": "make setup", "check": "make check", "tests": "make tests-list"},
        **phases(),
        "tree": TREE,
        "restored": [],
        "tests_base": TESTS,
        "tests_head": TESTS,
        "summary": summary(),
        "not_run": [],
        "summary_base": None,
        "not_run_base": None,
        "problem": None,
        "detail": "",
        "stopped_in": None,
        **fields,
    }
    return json.dumps(document).encode()


def ruling(content: bytes | None, **changes: Any) -> Judgement:
    asked: dict[str, Any] = {
        "exit_code": 0,
        "timed_out": False,
        "base_sha": BASE,
        "head_sha": HEAD,
        "allow_removed_tests": False,
        **changes,
    }
    return judge(content, **asked)


def test_honest_commit_succeeds_with_its_numbers() -> None:
    made = ruling(report())

    assert (made.outcome, made.failure) == (Outcome.SUCCEEDED, None)
    assert made.evidence["commit"] == HEAD
    assert made.evidence["install_seconds"] == 1.0
    assert made.evidence["seconds"] == 1.0  # listing the tests and checking
    assert (made.evidence["passed"], made.evidence["total"]) == (2, 2)
    assert made.evidence["commands"]["check"] == "make check"


def test_unknown_numbers_are_absent_from_the_evidence() -> None:
    evidence = ruling(report(summary=None, not_run=None)).evidence

    assert "passed" not in evidence
    assert evidence["tests_listed"] == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (phases(setup=BAD, check=None), "setup_failed"),
        (phases(setup=LATE, check=None), "setup_timeout"),
        (phases(check=BAD) | {"summary": summary(1, 1)}, "checks_failed"),
        (phases(check=LATE) | {"tests_head": None, "summary": None, "not_run": None}, "checks_timeout"),
        (phases(tests_head=BAD) | {"tests_head": None, "not_run": None}, "tests_unreadable"),
        ({"tests_head": ["t::one"]}, "tests_removed"),
        ({"tests_head": []}, "tests_removed"),
        ({"tests_base": [], "tests_head": []}, "no_tests"),
        ({"tests_base": [], "summary": summary(0), "not_run": None}, "no_tests"),
        ({"not_run": ["t::two"]}, "tests_skipped"),
        ({"not_run": ["t::two"], "not_run_base": ["t::one"]}, "tests_skipped"),
        ({"not_run": None, "summary": summary(1, 0, 1)}, "tests_skipped"),
        ({"not_run": None, "summary": summary(1), "summary_base": summary(2)}, "tests_skipped"),
        ({"summary": None, "not_run": None, "summary_base": summary()}, "tests_not_reported"),
    ],
)
def test_work_that_is_not_proven_fails(fields: dict[str, Any], code: str) -> None:
    made = ruling(report(**fields))

    assert made.outcome is Outcome.FAILED
    assert made.failure is not None
    assert (made.failure.code, made.failure.kind) == (code, FailureKind.PRODUCT)


@pytest.mark.parametrize(
    "fields",
    [
        {"not_run": ["t::two"], "not_run_base": ["t::two"]},
        {"not_run": None, "summary": summary(1, 0, 1), "summary_base": summary(1, 0, 1)},
        {"not_run": None, "summary": None, "summary_base": None},
        {"tests_head": [*TESTS, "t::three"]},
        {"restored": ["Makefile"]},
    ],
)
def test_what_the_base_does_as_well_is_no_reproach(fields: dict[str, Any]) -> None:
    assert ruling(report(**fields)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    "fields",
    [
        {"tests_head": ["t::one"]},
        {"not_run": ["t::two"]},
        phases(setup_base=BAD, tests_base=None) | {"tests_base": None, "not_run": None},
    ],
)
def test_task_may_allow_removed_tests(fields: dict[str, Any]) -> None:
    assert ruling(report(**fields), allow_removed_tests=True).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("content", "changes", "code"),
    [
        (None, {}, "report_missing"),
        (b"{", {}, "report_missing"),
        (b"[" * 100_000, {}, "report_missing"),
        (b"x" * (8 * 1024 * 1024 + 1), {}, "report_missing"),
        (report(version=2), {}, "report_missing"),
        (report(tests_head=["x" * 1_001]), {}, "report_missing"),
        (report(phases={"check": GOOD | {"seconds": -1.0}}), {}, "report_missing"),
        (report(head_sha=TREE), {}, "report_foreign"),
        (report(), {"exit_code": None}, "verification_killed"),
        (report(), {"exit_code": 137}, "verification_killed"),
        (report(), {"exit_code": 1}, "verification_killed"),
        (report(), {"exit_code": 3}, "report_incomplete"),
        (report(), {"exit_code": None, "timed_out": True}, "verification_timeout"),
        (report(problem="head_missing"), {"exit_code": 3}, "head_missing"),
        (report(problem="disk_full"), {"exit_code": 0}, "disk_full"),
        (report(**phases(setup_base=BAD), tests_base=None), {}, "base_unusable"),
        (report(**phases(tests_base=LATE), tests_base=None), {}, "base_unusable"),
        (report(**phases(setup_again=BAD), not_run=["t::two"]), {}, "base_unusable"),
        (report(tests_base=None), {}, "base_unusable"),
        (report(**phases(check=None)), {}, "report_incomplete"),
        (report(**phases(setup=None)), {}, "report_incomplete"),
        (report(**STOPPED, stopped_in="check"), {"exit_code": 3}, "verification_stopped"),
        (report(**STOPPED, stopped_in="clone"), {"exit_code": 3, "timed_out": True}, "verification_timeout"),
    ],
    ids=range(23),
)
def test_what_could_not_run_is_neither_pass_nor_failure(
    content: bytes | None, changes: dict[str, Any], code: str
) -> None:
    made = ruling(content, **changes)

    assert made.outcome is Outcome.CRASHED
    assert made.failure is not None
    assert (made.failure.code, made.failure.kind) == (code, FailureKind.PLATFORM)
    assert made.failure.retryable


@pytest.mark.parametrize(("phase", "code"), [("setup", "setup_timeout"), ("check", "checks_timeout")])
def test_deadline_of_the_unit_is_the_works_when_the_work_was_running(phase: str, code: str) -> None:
    made = ruling(report(**STOPPED, stopped_in=phase), exit_code=3, timed_out=True)

    assert made.outcome is Outcome.FAILED
    assert made.failure is not None
    assert made.failure.code == code


def test_failure_says_what_is_needed_to_repair_it() -> None:
    removed = ruling(report(tests_head=["t::one"]))
    failed = ruling(report(**phases(check=BAD), summary=summary(1, 1)))

    assert removed.failure is not None
    assert failed.failure is not None
    assert removed.failure.message == "Tests of the base are gone: t::two"
    assert removed.failure.details == {"tests": ["t::two"]}
    assert failed.failure.message == "`make check` ended with exit code 2: 1 of 2 tests failed"
    assert failed.log_tail == "last words"


def test_lists_are_bounded_in_evidence_and_failure() -> None:
    many = [f"t::{number:05}" for number in range(5_000)]

    made = ruling(report(tests_base=many))

    assert made.failure is not None
    assert made.failure.message.endswith(" and 4990 more")
    assert len(made.failure.details["tests"]) == len(made.evidence["removed_tests"]) == 100


def test_unknown_fields_are_ignored() -> None:
    assert ruling(report(later="x")).outcome is Outcome.SUCCEEDED
