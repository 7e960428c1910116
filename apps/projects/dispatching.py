"""Brings dispatched workflows from what their rows say should be to what is; one step per call.

    pending → dispatching → running → succeeded | failed
                  └─────────────┴──→ canceling → canceled

The row's id goes into the run's name, so a run that a process started before it
died is found by it and adopted, never by its time. A row ends only by what was
read back from the git host.
"""

import logging
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Q

from apps.errors import OrchestratorError, Unavailable
from apps.lifecycle import IllegalTransition
from apps.projects import dispatch_errors as ends
from apps.projects import dispatch_secrets, polling
from apps.projects.dispatch_results import read_log, read_result
from apps.projects.forge.base import BranchNotFound, RepositoryNotFound, RepositoryTaken
from apps.projects.forge.hosting import (
    DispatchSpec,
    ForgeRateLimited,
    Hosting,
    RunNotFound,
    RunStatus,
    WorkflowNotFound,
    WorkflowRun,
)
from apps.projects.models import Dispatch, DispatchStatus
from apps.projects.signals import announce, dispatch_changed
from apps.projects.tools import Tools
from apps.projects.workspace import known_repository

logger = logging.getLogger(__name__)

UNFINISHED: Final = (
    DispatchStatus.PENDING,
    DispatchStatus.DISPATCHING,
    DispatchStatus.RUNNING,
    DispatchStatus.CANCELING,
)
_NOT_SEEN: Final = (DispatchStatus.PENDING, DispatchStatus.DISPATCHING)
_AT_WORK: Final = (DispatchStatus.DISPATCHING, DispatchStatus.RUNNING)
#: With its repository a run is gone, too.
_GONE: Final = (ends.DispatchEnded, RunNotFound, RepositoryNotFound, RepositoryTaken)
#: A run that was accepted is waited for so long; one of which nobody knows, less.
APPEARANCE: Final = timedelta(minutes=3)
UNKNOWN_APPEARANCE: Final = timedelta(seconds=45)
#: A start whose answer was lost is asked for again so often; a surviving run of an earlier try is adopted.
MAX_TRIES: Final = 2


def dispatches_to_look_at(*, now: Any) -> Q:
    """Return the condition for the dispatches that are due."""
    return Q(status__in=UNFINISHED) & (Q(poll_at=None) | Q(poll_at__lte=now))


def reconcile_dispatch(*, dispatch_id: UUID, tools: Tools) -> bool:
    """Take one step; the caller holds the dispatch's advisory lock.

    Returns:
        Whether another step is due at once.

    Raises:
        IllegalTransition: somebody moved the row meanwhile.

    """
    rows = Dispatch.objects.filter(pk=dispatch_id, status__in=UNFINISHED)
    if not rows.update(looks=F("looks") + 1):
        return False
    row = Dispatch.objects.select_related("project").get(pk=dispatch_id)
    try:
        if tools.hosting is None:
            raise ends.HostingMissing()
        return _step(row, tools, tools.hosting)
    except IllegalTransition:
        raise
    except Unavailable as error:
        return _wait(row, error, tools)
    except OrchestratorError as error:
        if _may_be_at_work(row) and not isinstance(error, _GONE):
            # Its end is not proven: the fence stays, and the host is asked again.
            return _wait(row, error, tools)
        _finish(row, DispatchStatus.FAILED, tools, error=error)
        return False


def _may_be_at_work(row: Dispatch) -> bool:
    rows = Dispatch.objects.filter(pk=row.pk).exclude(accepted_at=None, status__in=_NOT_SEEN)
    return rows.exists()


def _step(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    if row.status in _AT_WORK and row.deadline_at <= tools.now():
        return _cancel(row, ends.WorkflowLate(details={"url": row.run_url}))
    match row.status:
        case DispatchStatus.PENDING:
            return _prepare(row, tools, host)
        case DispatchStatus.DISPATCHING:
            return _start(row, tools, host)
        case DispatchStatus.RUNNING:
            return _follow(row, tools, host)
    return _end(row, tools, host)


def _wait(row: Dispatch, error: OrchestratorError, tools: Tools) -> bool:
    now = tools.now()
    if row.status == DispatchStatus.PENDING and row.deadline_at <= now:
        _finish(row, DispatchStatus.CRASHED, tools, error=error)
        return False
    if row.status in _AT_WORK and row.deadline_at <= now:
        return _cancel(row, ends.WorkflowLate(details={"url": row.run_url}))
    logger.warning("Dispatch %s waits: %s", row.pk, error.message)
    _look_at(row, polling.after_refusal(error, tries=min(row.looks, 4), now=now, first=tools.first_pause))
    return False


def _prepare(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    if row.prepared_at is None:
        dispatch_secrets.hand_over(row, host, telegram_url=tools.telegram_url, now=tools.now())
    Dispatch.transition(row.pk, to=DispatchStatus.DISPATCHING, looks=0, poll_at=None)
    return True


def _start(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    if row.tries:
        run = _find(row, host)
        if run is not None:
            return _begin(row, run, tools)
        if row.appear_by is not None and tools.now() < row.appear_by:
            return _look_for_it(row, tools)
        if row.accepted_at is not None or row.tries >= MAX_TRIES:
            raise ends.WorkflowNotStarted(details={"workflow": row.workflow})
    return _dispatch(row, tools, host)


def _dispatch(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    rows = Dispatch.objects.filter(pk=row.pk, status=row.status)
    # Counted before it is asked for: whoever comes after a kill looks for its run first.
    rows.update(tries=F("tries") + 1, appear_by=tools.now() + UNKNOWN_APPEARANCE)
    spec = DispatchSpec(workflow=row.workflow, ref=row.ref, correlation=str(row.pk), inputs=dict(row.inputs))
    try:
        run_id = host.dispatch(known_repository(row.project), spec)
    except (ForgeRateLimited, WorkflowNotFound, BranchNotFound) as refusal:
        # Nothing was started, for certain: this was no try, and nobody has to look for its run.
        rows.update(tries=F("tries") - 1, appear_by=None)
        known_by = (row.prepared_at or row.created_at) + UNKNOWN_APPEARANCE
        if isinstance(refusal, ForgeRateLimited) or tools.now() >= known_by:
            raise
        # What was pushed a moment ago may not have reached all of the host yet.
        return _look_for_it(row, tools)
    now = tools.now()
    rows.update(accepted_at=now, appear_by=now + APPEARANCE, run_id=run_id)
    row.run_id = run_id
    run = None if run_id is None else _find(row, host)
    return _look_for_it(row, tools) if run is None else _begin(row, run, tools)


def _look_for_it(row: Dispatch, tools: Tools) -> bool:
    _look_at(row, tools.now() + tools.first_pause / 3)
    return False


def _begin(row: Dispatch, run: WorkflowRun, tools: Tools) -> bool:
    Dispatch.transition(
        row.pk,
        to=DispatchStatus.RUNNING,
        run_id=run.id,
        run_url=run.url[:500],
        running_at=tools.now(),
        looks=0,
        poll_at=None,
    )
    announce(dispatch_changed, dispatch_id=row.pk)
    return True


def _follow(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    repository = known_repository(row.project)
    run = host.read_run(repository, row.run_id or 0)
    # A rollback runs the workflow of today for a commit of before.
    if not row.is_rollback and run.head_sha != row.sha:
        return _cancel(row, ends.BranchMovedOn(details={"wanted": row.sha, "found": run.head_sha}))
    if not run.status.is_final:
        since = row.running_at or row.created_at
        _look_at(row, polling.next_look(since=since, now=tools.now(), first=tools.first_pause))
        return False
    if run.status is RunStatus.SUCCEEDED:
        return _succeed(row, tools, host)
    error = ends.ENDS.get(run.status, ends.WorkflowFailed)
    log = read_log(host, repository, run)
    details = {"url": run.url, **({"job": log["job"], "step": log["step"]} if log else {})}
    _finish(row, DispatchStatus.FAILED, tools, error=error(details=details), log=log)
    return False


def _succeed(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    found = read_result(host, row)
    _finish(row, DispatchStatus.SUCCEEDED, tools, **found)
    return False


def _cancel(row: Dispatch, reason: ends.DispatchEnded) -> bool:
    failure = ends.record_of(reason).as_json()
    Dispatch.transition(row.pk, to=DispatchStatus.CANCELING, failure=failure, looks=0, poll_at=None)
    announce(dispatch_changed, dispatch_id=row.pk)
    return True


def _end(row: Dispatch, tools: Tools, host: Hosting) -> bool:
    repository = known_repository(row.project)
    run = _find(row, host)
    if run is None:
        if row.tries and row.appear_by is not None and tools.now() < row.appear_by:
            return _look_for_it(row, tools)
        _finish(row, DispatchStatus.CANCELED, tools)
        return False
    if run.status is RunStatus.SUCCEEDED and run.head_sha in (row.sha, *([run.head_sha] * row.is_rollback)):
        return _succeed(row, tools, host)
    if run.status.is_final:
        _finish(row, DispatchStatus.CANCELED, tools, run_id=run.id, run_url=run.url[:500])
        return False
    host.cancel_run(repository, run.id)
    _look_at(
        row,
        polling.next_look(since=row.status_changed_at, now=tools.now(), first=tools.first_pause / 3),
    )
    return False


def _find(row: Dispatch, host: Hosting) -> WorkflowRun | None:
    repository = known_repository(row.project)
    try:
        if row.run_id is None:
            return host.find_run(repository, workflow=row.workflow, correlation=str(row.pk))
        return host.read_run(repository, row.run_id)
    except (RunNotFound, WorkflowNotFound):
        # It is not to be seen yet, or somebody deleted it, which the host allows only when it has ended.
        return None


def _look_at(row: Dispatch, at: Any) -> None:
    Dispatch.objects.filter(pk=row.pk, status=row.status).update(poll_at=at)


def _finish(
    row: Dispatch,
    status: str,
    tools: Tools,
    *,
    error: OrchestratorError | None = None,
    **fields: Any,
) -> None:
    if error is not None:
        fields["failure"] = ends.record_of(error).as_json()
    elif status == DispatchStatus.SUCCEEDED:
        fields["failure"] = None
    Dispatch.transition(
        row.pk, to=status, expect=row.status, access="{}", finished_at=tools.now(), poll_at=None, **fields
    )
    announce(dispatch_changed, dispatch_id=row.pk)
