"""What outcomes mean for a run."""

from dataclasses import replace
from typing import Any

import pytest

from apps.failures import Failure, FailureKind
from apps.graph import judgement
from apps.graph.state import Verdict

pytestmark = pytest.mark.unit


def claim(**fields: Any) -> judgement.Claim:
    defaults = {
        "status": "succeeded",
        "commit_sha": "c" * 40,
        "branch": "task/1",
        "bundle_name": "snapshots/b",
        "failure": None,
    }
    return judgement.Claim(**{**defaults, **fields})


def failure(kind: FailureKind, code: str = "some_code", *, retryable: bool = True) -> Failure:
    return Failure(stage="turn", kind=kind, code=code, message="It said no.", retryable=retryable)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (claim(), None),
        (claim(commit_sha=""), "no_commit"),
        (claim(commit_sha="b" * 40), "no_commit"),
        (claim(commit_sha="", branch="main"), "wrong_branch"),
        (claim(commit_sha="b" * 40, branch="main"), "wrong_branch"),
        (claim(commit_sha="", branch=""), "no_commit"),
        (claim(bundle_name=""), "no_bundle"),
        (claim(status="failed", failure=failure(FailureKind.PRODUCT, "agent_exit")), "agent_exit"),
        (claim(status="crashed"), "turn_crashed"),
        (claim(status="canceled"), "turn_canceled"),
    ],
)
def test_a_claim_is_a_change_only_with_a_new_commit_on_the_right_branch(
    given: judgement.Claim, code: str | None
) -> None:
    found = judgement.judge_turn(given, base_sha="b" * 40, branch="task/1")

    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (failure(FailureKind.PRODUCT, "agent_exit"), Verdict.REWORK),
        (failure(FailureKind.PRODUCT, "result_missing"), Verdict.REWORK),
        (failure(FailureKind.PRODUCT, "timeout"), Verdict.REWORK),
        (failure(FailureKind.PRODUCT, "agent_reported_failure"), Verdict.STOP),
        (failure(FailureKind.PLATFORM, "agent_missing"), Verdict.STOP),
        (failure(FailureKind.PLATFORM, "worker_died"), Verdict.NEW_ATTEMPT),
        (failure(FailureKind.PLATFORM, "workspace_unavailable"), Verdict.NEW_ATTEMPT),
        (failure(FailureKind.PRODUCT, "snapshot_refused"), Verdict.REWORK),
        (failure(FailureKind.PLATFORM, retryable=False), Verdict.STOP),
        (failure(FailureKind.PRODUCT, retryable=False), Verdict.STOP),
        (failure(FailureKind.PLATFORM, "output_flood"), Verdict.STOP),
        (failure(FailureKind.PROVIDER, "rate_limited"), Verdict.STOP),
        (failure(FailureKind.USER), Verdict.STOP),
    ],
)
def test_a_failed_turn_leads_to_rework_a_new_worker_or_the_end(given: Failure, verdict: Verdict) -> None:
    assert judgement.verdict_on_turn(given) == verdict


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        ("crashed", FailureKind.PLATFORM, Verdict.NEW_ATTEMPT),
        ("failed", FailureKind.PLATFORM, Verdict.STOP),
        ("canceled", FailureKind.USER, Verdict.STOP),
        ("succeeded", FailureKind.PLATFORM, Verdict.STOP),
    ],
)
def test_only_a_crashed_worker_is_replaced(status: str, kind: FailureKind, verdict: Verdict) -> None:
    assert judgement.verdict_on_worker(status, failure(kind)) == verdict


def test_worker_that_a_stranger_stopped_earns_another_one() -> None:
    stopped = replace(failure(FailureKind.PLATFORM), code="worker_stopped")

    assert judgement.verdict_on_worker("failed", stopped) == Verdict.NEW_ATTEMPT


@pytest.mark.parametrize("kind", list(FailureKind))
def test_only_the_works_own_faults_go_back_to_the_agent(kind: FailureKind) -> None:
    expected = Verdict.REWORK if kind is FailureKind.PRODUCT else Verdict.STOP

    assert judgement.verdict_on_work(failure(kind)) == expected


@pytest.mark.parametrize(
    ("kind", "code", "seen", "verdict"),
    [
        (FailureKind.PLATFORM, "base_moved", 0, Verdict.REBASE),
        (FailureKind.PRODUCT, "merge_conflict", 0, Verdict.REBASE),
        (FailureKind.PRODUCT, "rebase_conflict", 0, Verdict.STOP),
        (FailureKind.PRODUCT, "rebase_empty", 0, Verdict.STOP),
        (FailureKind.PRODUCT, "protected_path_changed", 0, Verdict.REWORK),
        (FailureKind.PRODUCT, "host_checks_failed", 1, Verdict.REWORK),
        (FailureKind.PRODUCT, "host_checks_failed", 2, Verdict.REWORK),
        (FailureKind.PRODUCT, "host_checks_failed", 3, Verdict.STOP),
        (FailureKind.PROVIDER, "host_checks_missing", 0, Verdict.STOP),
        (FailureKind.PROVIDER, "forge_refused", 0, Verdict.STOP),
        (FailureKind.USER, "pull_request_closed", 0, Verdict.STOP),
    ],
)
def test_an_unmerged_change_is_repaired_rebased_or_the_end(
    kind: FailureKind, code: str, seen: int, verdict: Verdict
) -> None:
    assert judgement.verdict_on_change(failure(kind, code), seen=seen) == verdict


@pytest.mark.parametrize(
    ("verdict", "kind", "status"),
    [
        (Verdict.OK, None, "succeeded"),
        (Verdict.STOP, "product", "failed"),
        (Verdict.REWORK, "product", "failed"),
        (Verdict.STOP, "user", "failed"),
        (Verdict.STOP, "provider", "failed"),
        (Verdict.NEW_ATTEMPT, "platform", "crashed"),
        (Verdict.STOP, "platform", "crashed"),
    ],
)
def test_the_works_no_is_a_failure_and_ours_a_crash(verdict: str, kind: str | None, status: str) -> None:
    record = {"kind": kind} if kind else None

    assert judgement.final_status({"verdict": verdict, "failure": record}) == status


def test_a_row_that_ended_without_a_reason_gets_a_typed_one() -> None:
    found = judgement.ended("change", "crashed", None)

    assert (found.stage, found.code, found.kind) == ("change", "change_crashed", FailureKind.PLATFORM)
