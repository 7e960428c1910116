"""Driving runs: one claim, one stretch of nodes to the next wait, one park.

What makes a ``kill -9`` harmless at every line: only the holder of the run's
lock acts; every effect has a key made of the checkpointed state; a visit's
number is part of that state, so its Step is written once; the outcome is on the
row before the flow ends; run, task, timeline and follower become final in one
transaction. Whoever holds the lock next repeats what was not saved.

LangGraph is loaded by the first flow that is driven: it takes a second, and of all processes only those
that take the queue `graph` drive any.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from psycopg import Error as DriverError

from apps.enqueue import advisory_lock
from apps.errors import Unavailable
from apps.failures import Failure
from apps.graph import checkpoints, ending, holdings, progress
from apps.graph.flows import FLOWS
from apps.graph.models import UNFINISHED, Run, RunStatus
from apps.graph.state import RunState
from apps.graph.visits import VisitLog
from apps.graph.waits import UNAVAILABLE, is_over
from apps.lifecycle import IllegalTransition

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from apps.graph.topology import Compiled

logger = logging.getLogger(__name__)

#: Drives in a row that may end in an exception or a dead process.
MAX_TROUBLES = 5
#: Looks at one run before the others get their turn.
MAX_LOOKS = 10
#: What a canceled run held has this long to end; a workflow's end has to be proven by its git host.
CANCEL_PATIENCE = timedelta(seconds=120)
PROOF_PATIENCE = timedelta(minutes=15)
RECURSION_LIMIT = 200
INTERRUPT = "__interrupt__"


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """What an advance leaves to be done."""

    again: bool = False  # this run has something to do at once
    started: UUID | None = None  # a run that was created on the way


def advance(*, run_id: UUID) -> Advance:
    """Bring a run to its next wait or its end; harmless to repeat, at any moment, from anywhere."""
    started: UUID | None = None
    for _ in range(MAX_LOOKS):
        with advisory_lock("run", run_id) as is_ours:
            if not is_ours:
                return Advance(started=started)
            look = _look(run_id)
            started = look.started or started
        # Only now, with the lock free: whoever was sent away by it has left this to us.
        if not _is_due(run_id, look.parked):
            return Advance(started=started)
    return Advance(again=True, started=started)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look at a run has done."""

    started: UUID | None = None  # a run that was created by this one's end
    parked: Run | None = None  # the run, if this look left it waiting


def _look(run_id: UUID) -> Look:
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return Look()
    try:
        return _step(run, timezone.now())
    except IllegalTransition:
        logger.info("Run %s was moved by someone else", run_id)
        return Look()


def _step(run: Run, now: datetime) -> Look:
    if run.status not in UNFINISHED:
        ending.forget(run)
        return Look()
    if run.status == RunStatus.CANCELING:
        _cancel(run, now)
        return Look()
    trouble = _find_trouble(run)
    if trouble is not None:
        return Look(started=ending.fail(run, trouble, status=RunStatus.CRASHED))
    # A flow that has decided is driven to its end, however late: the outcome stands.
    if run.outcome is None and run.deadline_at <= now:
        if now < run.deadline_at + PROOF_PATIENCE and holdings.find_fence(run) is not None:
            # Nobody is told of an end while a workflow of ours is at work elsewhere.
            holdings.cancel(run)
            Run.objects.filter(pk=run.pk).update(heartbeat_at=now)
            return Look()
        _claim(run)
        return Look(started=ending.fail(run, ending.timeout(run)))
    if run.outcome is None and run.status == RunStatus.WAITING and not is_over(run, now=now):
        progress.observe(run)
        Run.objects.filter(pk=run.pk).update(heartbeat_at=now)
        return Look()
    return _drive(run)


def _find_trouble(run: Run) -> Failure | None:
    flow = FLOWS.get(run.flow)
    if flow is None or flow.version != run.flow_version:
        message = f"The run began with version {run.flow_version} of its flow, which is gone."
        return ending.crashed("flow_version_changed", message)
    if run.troubles >= MAX_TROUBLES:
        message = f"The run was begun {run.troubles} times in a row without reaching its next wait."
        return ending.crashed("run_stuck", message)
    return None


def _claim(run: Run) -> None:
    # The counter is raised before the drive it bounds; nobody else writes it while we hold the lock.
    Run.transition(
        run.pk,
        to=RunStatus.RUNNING,
        drives=run.drives + 1,
        troubles=run.troubles + 1,
        heartbeat_at=timezone.now(),
    )


def _drive(run: Run) -> Look:
    _claim(run)
    try:
        waiting_for = _stream(run)
    except Unavailable as error:
        logger.warning("Run %s has to wait: %s", run.pk, error.message)
        progress.tell_wait(run, error.error_code)
        return _park(run, f"{UNAVAILABLE}:{error.error_code}")
    except (DatabaseError, InterfaceError, DriverError):
        # The database went away or refused: nothing can be written now, the sweep comes back.
        raise
    except Exception:
        # Bounded by ``troubles``: the next looks try again, then the run crashes.
        logger.exception("A node of run %s failed", run.pk)
        return Look()
    if waiting_for is not None:
        return _park(run, waiting_for)
    return Look(started=_end(run.reload()))


def _end(run: Run) -> UUID | None:
    if run.outcome is None:
        fault = ending.crashed("outcome_missing", "The flow ended without an outcome.")
        started = ending.fail(run, fault, status=RunStatus.CRASHED)
    else:
        started = ending.settle(run)
    ending.forget(run)
    return started


def _park(run: Run, waiting_for: str) -> Look:
    now = timezone.now()
    Run.transition(
        run.pk,
        to=RunStatus.WAITING,
        expect=RunStatus.RUNNING,
        waiting_for=waiting_for,
        troubles=0,
        heartbeat_at=now,
    )
    run.waiting_for, run.status_changed_at = waiting_for, now
    return Look(parked=run)


def _stream(run: Run) -> str | None:
    """Drive the graph; return what it waits for, or None when it has ended."""
    graph = _compiled(run.flow)
    thread = str(run.pk)
    config: RunnableConfig = {"configurable": {"thread_id": thread}, "recursion_limit": RECURSION_LIMIT}
    # A parked run has a checkpoint. Any other is asked, because the input again would start from the top.
    resumes = run.status == RunStatus.WAITING or checkpoints.has_thread(thread)
    begin: RunState = {
        "run_id": thread,
        "task_id": str(run.task_id),
        "visit": 0,
        "since": run.created_at.isoformat(),
    }
    chunks: Iterator[Any] = graph.stream(
        None if resumes else begin, config, context=VisitLog(run), stream_mode="updates", durability="exit"
    )
    waiting_for: str | None = None
    for chunk in chunks:
        if INTERRUPT in chunk:
            waiting_for = str(chunk[INTERRUPT][0].value)
    return waiting_for


def _cancel(run: Run, now: datetime) -> None:
    holdings.cancel(run)
    held = holdings.find_unfinished(run)
    if held is None:
        ending.cancel(run)
        ending.forget(run)
    elif run.status_changed_at + (PROOF_PATIENCE if held.kind == "dispatch" else CANCEL_PATIENCE) <= now:
        message = f"What the run held did not end after it was canceled: {held.kind}."
        ending.fail(run, ending.crashed("cancel_incomplete", message), status=RunStatus.CRASHED)
    else:
        Run.objects.filter(pk=run.pk, status=RunStatus.CANCELING).update(
            waiting_for=str(held), heartbeat_at=now
        )


def _is_due(run_id: UUID, parked: Run | None) -> bool:
    if parked is not None:
        # Whoever has moved it since got the lock, or waits for it as a hint does: the row is not read again.
        return is_over(parked, now=timezone.now())
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return False
    match run.status:
        case RunStatus.WAITING:
            return is_over(run, now=timezone.now())
        case RunStatus.CANCELING:
            return not run.waiting_for or is_over(run, now=timezone.now())
        case RunStatus.PENDING | RunStatus.RUNNING:
            return False
        case _:
            return run.forgotten_at is None


@cache
def _graph(flow: str, saver: "BaseCheckpointSaver[Any]") -> "Compiled":
    from apps.graph.topology import compile_flow

    return compile_flow(FLOWS[flow], saver)


def _compiled(flow: str) -> "Compiled":
    return _graph(flow, checkpoints.saver())
