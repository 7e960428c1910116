"""Brings projects and proposed changes from what their rows say should be to what is; one step per call.

Every call counts itself on the row before it acts. What is unavailable is
tried again by the sweep until the row's deadline; every other error is final.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.errors import Conflict, Invalid, OrchestratorError, Unavailable
from apps.lifecycle import IllegalTransition
from apps.projects import polling
from apps.projects.endings import AttemptsExhausted, failure_of, is_refusal
from apps.projects.forge.base import BaseMoved, BranchMoved
from apps.projects.forge.hosting import ForgeRefused, Hosting
from apps.projects.integration import Merged, adopt_merge, merge_change, open_change
from apps.projects.models import MergeRequest, MergeRequestStatus, Project, ProjectStatus
from apps.projects.proposal_errors import BranchTakenOver, HostChecksLate
from apps.projects.proposals import Found, accept_merge, follow_change
from apps.projects.rebasing import rebase_change
from apps.projects.scaffold import scaffold
from apps.projects.signals import announce, merge_request_changed, project_changed
from apps.projects.tidying import tidy_change
from apps.projects.tools import Tools
from apps.projects.workspace import BranchKeepsMoving, known_repository

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 40
#: What a git host says shortly after a change may not be its last word; it is asked so often.
_HASTY_ANSWERS: Final = 3
#: What nobody needs any more is given up after so long.
_TIDYING_PATIENCE: Final = timedelta(days=1)
_WORKED_ON: Final = (MergeRequestStatus.PENDING, MergeRequestStatus.PROPOSED, MergeRequestStatus.MERGING)
_STAGES: Final = {
    MergeRequestStatus.PENDING: "integration",
    MergeRequestStatus.PROPOSED: "checks",
    MergeRequestStatus.MERGING: "merge",
}


class HostingMissing(OrchestratorError):
    """The git host of this project has no pull requests."""

    code = "hosting_missing"


def changes_to_look_at(*, now: datetime) -> Q:
    """Return the condition for the proposed changes that wait for this app at a moment."""
    untidied = Q(tidy_at__isnull=False, tidied_at=None)
    return (Q(status__in=_WORKED_ON) | untidied) & (Q(poll_at=None) | Q(poll_at__lte=now))


def reconcile_project(*, project_id: UUID, tools: Tools) -> None:
    """Scaffold a project whose row asks for it; any other project is left alone.

    Raises:
        IllegalTransition: somebody else moved the project meanwhile.

    """
    rows = Project.objects.filter(pk=project_id, status=ProjectStatus.SCAFFOLDING)
    if not rows.update(scaffold_attempts=F("scaffold_attempts") + 1, heartbeat_at=tools.now()):
        return
    project = Project.objects.get(pk=project_id)
    try:
        if project.scaffold_attempts > MAX_ATTEMPTS:
            raise AttemptsExhausted(details={"attempts": MAX_ATTEMPTS})
        facts = scaffold(project, tools)
    except OrchestratorError as error:
        if isinstance(error, Unavailable) and _is_before(project.deadline_at, tools):
            logger.warning("Scaffold of project %s waits: %s", project_id, error.message)
            if tools.hosting is not None:
                # Waiting for a host is bounded by the deadline; the counter bounds deaths.
                rows.update(scaffold_attempts=F("scaffold_attempts") - 1)
            return
        failure = failure_of(error, stage="scaffold").as_json()
        Project.transition(project_id, to=ProjectStatus.FAILED, failure=failure, deadline_at=None)
    else:
        Project.transition(project_id, to=ProjectStatus.ACTIVE, failure=None, deadline_at=None, **facts)
    announce(project_changed, project_id=project_id)


def reconcile_merge_request(*, merge_request_id: UUID, tools: Tools) -> None:
    """Take the next step with a proposed change whose row asks for it; any other one is left alone.

    Raises:
        IllegalTransition: somebody else moved the change meanwhile.

    """
    rows = MergeRequest.objects.filter(changes_to_look_at(now=tools.now()), pk=merge_request_id)
    if not rows.update(attempts=F("attempts") + 1, heartbeat_at=tools.now()):
        return
    change = MergeRequest.objects.select_related("project", "task").get(pk=merge_request_id)
    if change.status not in _STAGES:
        _tidy(change, tools)
        return
    try:
        if change.attempts > MAX_ATTEMPTS:
            raise AttemptsExhausted(details={"attempts": MAX_ATTEMPTS})
        moved = _STEPS[MergeRequestStatus(change.status)](change, tools)
    except IllegalTransition:
        raise
    except OrchestratorError as error:
        if _may_wait(change, error, tools):
            logger.warning("Merge request %s waits: %s", merge_request_id, error.message)
            _pause(change, error, tools)
            return
        _end(change, error)
        moved = True
    if moved:
        announce(merge_request_changed, merge_request_id=merge_request_id)


def _is_before(deadline_at: datetime | None, tools: Tools) -> bool:
    return deadline_at is not None and tools.now() < deadline_at


def _may_wait(change: MergeRequest, error: OrchestratorError, tools: Tools) -> bool:
    if not _is_before(change.deadline_at, tools):
        return False
    # What a host shows of a merge, or whether it lets it in, lags behind what it has just told.
    is_hasty = tools.hosting is not None and change.status == MergeRequestStatus.MERGING
    lags = is_hasty and isinstance(error, ForgeRefused | BranchKeepsMoving)
    return isinstance(error, Unavailable) or (lags and change.attempts <= _HASTY_ANSWERS)


def _pause(change: MergeRequest, error: OrchestratorError, tools: Tools) -> None:
    if tools.hosting is None:
        return
    poll_at = polling.after_refusal(error, tries=change.attempts, now=tools.now(), first=tools.first_pause)
    MergeRequest.objects.filter(pk=change.pk).update(poll_at=poll_at)


def _open(change: MergeRequest, tools: Tools) -> bool:
    if change.rebase_of_id is not None:
        origin = MergeRequest.objects.select_related("project", "task").get(pk=change.rebase_of_id)
        columns = asdict(rebase_change(change, origin, tools))
        MergeRequest.objects.filter(pk=change.pk, status=MergeRequestStatus.PENDING).update(**columns)
        for name, value in columns.items():
            setattr(change, name, value)
    opened = open_change(change, tools)
    MergeRequest.transition(change.pk, to=MergeRequestStatus.OPEN, **asdict(opened))
    return True


def _follow(change: MergeRequest, tools: Tools) -> bool:
    found = follow_change(change, known_repository(change.project), _hosting(tools), tools)
    if found is Found.MERGED:
        return _finish_merge(change, tools, lambda: _merge_by_person(change, tools))
    if found is Found.PASSED:
        MergeRequest.transition(
            change.pk,
            to=MergeRequestStatus.MERGING,
            expect=MergeRequestStatus.PROPOSED,
            attempts=0,
            deadline_at=tools.now() + tools.merge_patience,
            poll_at=None,
        )
        reconcile_merge_request(merge_request_id=change.pk, tools=tools)
        return False
    if not _is_before(change.deadline_at, tools):
        raise HostChecksLate(details={"url": change.pull_request_url})
    since = change.proposed_at or change.status_changed_at
    MergeRequest.objects.filter(pk=change.pk, status=MergeRequestStatus.PROPOSED).update(
        attempts=0, poll_at=polling.next_look(since=since, now=tools.now(), first=tools.first_pause)
    )
    return False


def _merge(change: MergeRequest, tools: Tools) -> bool:
    def merge() -> Merged:
        try:
            return merge_change(change, tools)
        except (Conflict, Invalid) as error:
            # Somebody may have merged the pull request at this very moment, or pushed onto its branch.
            merged = _merge_by_person(change, tools) if tools.hosting is not None else None
            if merged is not None:
                return merged
            if isinstance(error, BranchMoved) and not isinstance(error, BaseMoved):
                raise BranchTakenOver(details=error.details) from error
            raise

    return _finish_merge(change, tools, merge)


def _merge_by_person(change: MergeRequest, tools: Tools) -> Merged | None:
    pull = _hosting(tools).read_pull_request(known_repository(change.project), change.pull_request or 0)
    merge_sha = accept_merge(change, pull)
    return None if merge_sha is None else adopt_merge(change, merge_sha, tools)


def _finish_merge(change: MergeRequest, tools: Tools, merge: Callable[[], Merged | None]) -> bool:
    # Two merges of one project would otherwise race to write its head.
    with advisory_lock("project", change.project_id) as obtained:
        merged = merge() if obtained else None
        if merged is None:
            return False
        tidy_at = tools.now() if tools.hosting is not None else None
        with transaction.atomic():
            MergeRequest.transition(
                change.pk,
                to=MergeRequestStatus.MERGED,
                merge_sha=merged.merge_sha,
                merged_at=timezone.now(),
                failure=None,
                tidy_at=tidy_at,
            )
            Project.objects.filter(pk=change.project_id).update(**asdict(merged.head))
        announce(project_changed, project_id=change.project_id)
    return True


def _tidy(change: MergeRequest, tools: Tools) -> None:
    try:
        tidy_change(change, known_repository(change.project), _hosting(tools), tools)
    except OrchestratorError as error:
        logger.warning("Tidying of merge request %s: %s", change.pk, error.message)
        is_worth_it = change.tidy_at is not None and tools.now() < change.tidy_at + _TIDYING_PATIENCE
        if isinstance(error, Unavailable) and is_worth_it:
            _pause(change, error, tools)
            return
    MergeRequest.objects.filter(pk=change.pk).update(tidied_at=tools.now())


def _end(change: MergeRequest, error: OrchestratorError) -> None:
    status = MergeRequestStatus.REFUSED if is_refusal(error) else MergeRequestStatus.CRASHED
    failure = failure_of(error, stage=_STAGES[MergeRequestStatus(change.status)]).as_json()
    MergeRequest.transition(change.pk, to=status, expect=change.status, failure=failure)


def _hosting(tools: Tools) -> Hosting:
    if tools.hosting is None:
        raise HostingMissing
    return tools.hosting


_STEPS: Final[dict[MergeRequestStatus, Callable[[MergeRequest, Tools], bool]]] = {
    MergeRequestStatus.PENDING: _open,
    MergeRequestStatus.PROPOSED: _follow,
    MergeRequestStatus.MERGING: _merge,
}
