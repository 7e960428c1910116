"""A verified change on a git host: its branch, its pull request, and what the host's checks say.

The host is asked about exactly the commit that was verified. Everything found is
on the row before anything follows from it; opening is adopted by branch, and a
rerun is counted before it is asked for.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import transaction

from apps.lifecycle import IllegalTransition
from apps.projects import proposal_errors as errors
from apps.projects import timeline
from apps.projects.forge.base import BranchMoved, MergeConflict, Repository
from apps.projects.forge.hosting import (
    CheckReport,
    CheckStatus,
    Hosting,
    PullRequest,
    PullRequestSpec,
    PullRequestState,
)
from apps.projects.integration import imported_change
from apps.projects.models import MergeRequest, MergeRequestStatus, TaskEventKind
from apps.projects.pull_requests import describe, fingerprint
from apps.projects.tools import Tools, step

#: A check that nobody has begun so long after the pull request will not begin.
MISSING_PATIENCE: Final = timedelta(minutes=10)
#: What the host shows of a pull request may be older than our push, but not by more than this.
STALE_PATIENCE: Final = timedelta(minutes=2)
#: A rerun that nobody has begun so long after it was asked for is asked for again.
RERUN_PATIENCE: Final = timedelta(minutes=1)
_EXCERPT_CHARACTERS: Final = 12_000

_FLAKES: Final[Mapping[CheckStatus, type[errors.ProposalEnded]]] = {
    CheckStatus.CANCELED: errors.HostChecksCanceled,
    CheckStatus.TIMED_OUT: errors.HostChecksTimedOut,
    CheckStatus.BROKEN: errors.HostChecksBroken,
}


class Found(StrEnum):
    """What a look at a pull request leads to."""

    WAIT = "wait"
    PASSED = "passed"
    MERGED = "merged"  # by a person, with the commit that was verified


def follow_change(change: MergeRequest, repository: Repository, hosting: Hosting, tools: Tools) -> Found:
    """Open a change's pull request or look how it fares; an error says how it ended.

    Args:
        change: proposed; its row with project and task, kept up to date.
        repository: where it is.
        hosting: the host.
        tools: the forge, the storage and the clock.

    Raises:
        ProposalEnded: a leaf of `proposal_errors`.
        MergeConflict: the host says that the branch does not fit its base any more.
        IllegalTransition: the change was withdrawn meanwhile.
        Unavailable: the host does not answer.

    """
    pull = _propose(change, repository, hosting, tools) if change.proposed_at is None else None
    if pull is None:
        with step("read pull request"):
            pull = hosting.read_pull_request(repository, change.pull_request or 0)
    if pull.state is not PullRequestState.OPEN:
        return _judge_end(change, pull)
    if pull.head_sha != change.head_sha:
        if tools.now() - _proposed_at(change, tools) > STALE_PATIENCE:
            raise errors.BranchTakenOver(details={"expected": change.head_sha, "found": pull.head_sha})
        return Found.WAIT
    if pull.conflicting:
        raise MergeConflict(details={"pull_request": pull.number, "url": pull.url})
    with step("read checks"):
        report = hosting.read_checks(repository, sha=change.head_sha, checks=required_checks(change))
    return _judge_checks(change, report, repository, hosting, tools)


def required_checks(change: MergeRequest) -> tuple[str, ...]:
    """Return the names of the checks that must pass at the host, as the project's manifest has them."""
    return tuple((change.project.manifest or {}).get("checks") or ("check",))


def accept_merge(change: MergeRequest, pull: PullRequest) -> str | None:
    """Return the merge commit if a pull request was merged with the verified commit, else None."""
    is_ours = pull.state is PullRequestState.MERGED and pull.head_sha == change.head_sha
    return pull.merge_sha if is_ours else None


def note(change: MergeRequest, *events: tuple[str, str, dict[str, Any]], **columns: Any) -> None:
    """Write what was found to a proposed change and its task's timeline, both or neither.

    Raises:
        IllegalTransition: the change was withdrawn meanwhile.

    """
    with transaction.atomic():
        rows = MergeRequest.objects.filter(pk=change.pk, status=MergeRequestStatus.PROPOSED)
        if not rows.update(**columns):
            raise IllegalTransition(f"Merge request {change.pk} is not proposed any more.")
        for kind, key, data in events:
            timeline.record(task_id=change.task_id, key=f"{kind}:{key}", kind=kind, data=data)
    for name, value in columns.items():
        setattr(change, name, value)


def _proposed_at(change: MergeRequest, tools: Tools) -> datetime:
    return change.proposed_at or tools.now()


def _propose(change: MergeRequest, repository: Repository, hosting: Hosting, tools: Tools) -> PullRequest:
    with step("push"):
        _push(change, repository, tools)
    with step("open pull request"):
        pull = hosting.open_pull_request(
            repository,
            PullRequestSpec(
                branch=change.branch,
                into=repository.default_branch,
                title=change.title,
                body=describe(change),
            ),
        )
    opened = {"number": pull.number, "url": pull.url}
    note(
        change,
        (TaskEventKind.PULL_REQUEST_OPENED, str(pull.number), opened),
        (TaskEventKind.HOST_CHECKS_STARTED, str(change.pk), {"url": pull.url}),
        pull_request=pull.number,
        pull_request_url=pull.url,
        proposed_at=tools.now(),
    )
    return pull


def _push(change: MergeRequest, repository: Repository, tools: Tools) -> None:
    """Put the verified commit on the task's branch, over our own earlier ones and nobody else's."""
    found = tools.forge.head(repository, change.branch)
    if found == change.head_sha:
        return
    if found is not None and not is_ours(change, found):
        raise errors.BranchTakenOver(details={"branch": change.branch, "found": found})
    with imported_change(change, repository, tools) as imported:
        try:
            tools.forge.push(
                repository,
                source=imported.repository,
                sha=change.head_sha,
                branch=change.branch,
                expected=found,
            )
        except BranchMoved as error:
            raise errors.BranchTakenOver(details=error.details) from error


def is_ours(change: MergeRequest, sha: str) -> bool:
    """Tell whether a commit was put on this change's branch by us."""
    rows = MergeRequest.objects.filter(task_id=change.task_id, branch=change.branch, head_sha=sha)
    return rows.exclude(evidence=None).exists()


def _judge_end(change: MergeRequest, pull: PullRequest) -> Found:
    details = {"pull_request": pull.number, "url": pull.url}
    if pull.state is PullRequestState.CLOSED:
        raise errors.ClosedByPerson(details=details)
    if accept_merge(change, pull) is None:
        raise errors.MergedOtherwise(details={**details, "merged": pull.head_sha})
    return Found.MERGED


def _judge_checks(
    change: MergeRequest, report: CheckReport, repository: Repository, hosting: Hosting, tools: Tools
) -> Found:
    shown = _shown(change, report)
    match report.status:
        case CheckStatus.SUCCEEDED:
            told = {"url": report.url, "seconds": _seconds(change, tools)}
            note(change, (TaskEventKind.HOST_CHECKS_PASSED, str(change.pk), told), checks=shown)
            return Found.PASSED
        case CheckStatus.MISSING if tools.now() - _proposed_at(change, tools) <= MISSING_PATIENCE:
            return _wait(change, shown)
        case CheckStatus.PENDING:
            return _wait(change, shown)
        case status if status in _FLAKES and _may_rerun(change, report):
            return _rerun(change, report, shown, repository, hosting, tools)
        case _:
            raise _refusal(change, report, shown, tools)


def _wait(change: MergeRequest, shown: dict[str, Any]) -> Found:
    if shown != change.checks:
        note(change, checks=shown)
    return Found.WAIT


def _may_rerun(change: MergeRequest, report: CheckReport) -> bool:
    if report.run_id is None:
        return False
    return not change.reruns or report.attempt <= (change.checks or {}).get("rerun_of", 0)


def _rerun(
    change: MergeRequest,
    report: CheckReport,
    shown: dict[str, Any],
    repository: Repository,
    hosting: Hosting,
    tools: Tools,
) -> Found:
    """Let the host try once more, because its machine failed and not the work; ask until it begins."""
    now = tools.now()
    if change.rerun_at is not None and now - change.rerun_at <= RERUN_PATIENCE:
        return Found.WAIT
    told = {"url": report.url, "again": True}
    note(
        change,
        (TaskEventKind.HOST_CHECKS_STARTED, f"{change.pk}:again", told),
        reruns=1,
        rerun_at=now,
        checks={**shown, "rerun_of": report.attempt},
    )
    with step("rerun checks"):
        hosting.rerun(repository, report.run_id or 0)
    return Found.WAIT


def _refusal(
    change: MergeRequest, report: CheckReport, shown: dict[str, Any], tools: Tools
) -> errors.ProposalEnded:
    details = {"url": report.url, "job": report.job, "step": report.step}
    reason = ""
    match report.status:
        case CheckStatus.FAILED:
            reason = fingerprint(job=report.job, step=report.step, excerpt=report.excerpt)
            error: errors.ProposalEnded = errors.HostChecksFailed(
                details={**details, "log_tail": shown["excerpt"]}
            )
        case CheckStatus.ACTION_REQUIRED:
            error = errors.ActionRequired(details={"url": report.url or change.pull_request_url})
        case CheckStatus.MISSING:
            names = ", ".join(required_checks(change))
            error = errors.HostChecksMissing(details={"checks": names, "url": change.pull_request_url})
        case status:
            error = _FLAKES[status](details=details)
    told = {
        "url": report.url or change.pull_request_url,
        "job": report.job,
        "step": report.step,
        "code": error.error_code,
        "seconds": _seconds(change, tools),
    }
    event = (TaskEventKind.HOST_CHECKS_FAILED, str(change.pk), told)
    note(change, event, checks=shown, fingerprint=reason)
    return error


def _shown(change: MergeRequest, report: CheckReport) -> dict[str, Any]:
    shown = {**asdict(report), "status": report.status.value}
    shown["excerpt"] = report.excerpt.replace("\0", "")[-_EXCERPT_CHARACTERS:]
    rerun_of = (change.checks or {}).get("rerun_of")
    return shown if rerun_of is None else {**shown, "rerun_of": rerun_of}


def _seconds(change: MergeRequest, tools: Tools) -> float:
    return round((tools.now() - _proposed_at(change, tools)).total_seconds(), 3)
