"""What outcomes of the lower apps mean for a run: pure, table-tested."""

from dataclasses import dataclass

from apps.failures import Failure, FailureKind
from apps.graph.state import RunState, Verdict

#: Another try would meet the same wall, whatever the failure says of itself.
FINAL_CODES = frozenset({"agent_reported_failure", "agent_missing", "output_flood"})
#: Ends of workers that are no crash and say nothing about the work either.
RETRIED_CODES = frozenset({"worker_stopped"})
#: The change itself is as good as before; what it was built on is not the newest any more.
REBASED_CODES = frozenset({"base_moved", "merge_conflict"})
#: The worker does not see what its change collides with; a new task begins from both.
UNREPAIRABLE_CODES = frozenset({"rebase_conflict", "rebase_empty"})
#: Whoever fails the third time for the same reason will fail the fourth time, too.
MAX_REWORKS_PER_REASON = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What an agent says it has done."""

    status: str
    commit_sha: str
    branch: str
    bundle_name: str
    failure: Failure | None


def judge_turn(claim: Claim, *, base_sha: str, branch: str) -> Failure | None:
    """Return why a finished turn is not a change that can be proposed, or None."""
    if claim.status != "succeeded":
        return ended("turn", claim.status, claim.failure)
    if not claim.commit_sha or claim.commit_sha == base_sha:
        if claim.branch and claim.branch != branch:
            message = f"The work is on branch {claim.branch} instead of {branch}."
            return _failure("turn", FailureKind.PRODUCT, "wrong_branch", message)
        message = f"The agent reported success, but branch {branch} has no new commit."
        return _failure("turn", FailureKind.PRODUCT, "no_commit", message)
    if not claim.bundle_name:
        message = "The agent reported success, but its commits were not handed over."
        return _failure("turn", FailureKind.PRODUCT, "no_bundle", message)
    return None


def verdict_on_turn(failure: Failure) -> Verdict:
    """Decide what a failed turn leads to."""
    if failure.code in FINAL_CODES or not failure.retryable:
        return Verdict.STOP
    if failure.kind is FailureKind.PLATFORM:
        return Verdict.NEW_ATTEMPT
    return Verdict.REWORK if failure.kind is FailureKind.PRODUCT else Verdict.STOP


def verdict_on_worker(status: str, failure: Failure) -> Verdict:
    """Decide what the end of a worker leads to: a crash earns another one, its own no does not."""
    is_retried = status == "crashed" or failure.code in RETRIED_CODES
    return Verdict.NEW_ATTEMPT if is_retried and failure.code not in FINAL_CODES else Verdict.STOP


def verdict_on_work(failure: Failure) -> Verdict:
    """Decide what refused work leads to: only its own faults go back to the agent."""
    return Verdict.REWORK if failure.kind is FailureKind.PRODUCT else Verdict.STOP


def verdict_on_change(failure: Failure, *, seen: int) -> Verdict:
    """Decide what a change that was not merged leads to.

    Args:
        failure: of its row.
        seen: how often the git host's checks failed for this reason in this task, this time included.

    """
    if failure.code in REBASED_CODES:
        return Verdict.REBASE
    if failure.code in UNREPAIRABLE_CODES or seen > MAX_REWORKS_PER_REASON:
        return Verdict.STOP
    return verdict_on_work(failure)


def ended(stage: str, status: str, failure: Failure | None) -> Failure:
    """Return the failure a row carries, or a typed one that tells how it ended without."""
    if failure is not None:
        return failure
    kind = FailureKind.USER if status == "canceled" else FailureKind.PLATFORM
    return _failure(stage, kind, f"{stage}_{status}", f"The {stage} ended as {status}.")


def final_status(state: RunState) -> str:
    """Name the status a finished run gets: the work's no is a failure, ours is a crash."""
    if state["verdict"] == Verdict.OK:
        return "succeeded"
    failure = state.get("failure")
    return "crashed" if failure and failure["kind"] == FailureKind.PLATFORM else "failed"


def _failure(stage: str, kind: FailureKind, code: str, message: str) -> Failure:
    return Failure(stage=stage, kind=kind, code=code, message=message, retryable=True)
