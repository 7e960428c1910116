"""Writes down how alive workers are judged to be, and ends the turn of one that is proven stalled."""

import logging
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from apps.workers import liveness
from apps.workers.liveness import Evidence, Liveness
from apps.workers.models import Turn, TurnStatus, Verdict, Worker
from apps.workers.runtime.base import ContainerState
from worker_image.contract import Heartbeat, WorkerType

logger = logging.getLogger(__name__)

_UNFINISHED = (TurnStatus.PENDING, TurnStatus.RUNNING)


def note(worker: Worker, state: ContainerState | None, now: datetime) -> Liveness:
    """Judge a worker by its row and its container as just observed, and write down what is news."""
    found = liveness.judge(evidence_of(worker, state, now))
    if changes := _changes(worker, found, now):
        Worker.objects.filter(pk=worker.pk).update(**changes)
        for name, value in changes.items():
            setattr(worker, name, value)
        if "verdict" in changes:
            logger.info("Worker %s is %s: %s", worker.pk, found.verdict, found.ground)
    return found


def stalled_turn(worker: Worker, found: Liveness, now: datetime, *, patience_seconds: float) -> Turn | None:
    """Return the turn that a worker owes and that will not come, because it has been stalled for too long."""
    since = worker.verdict_since
    if found.ground not in liveness.PROVEN or now < since + timedelta(seconds=patience_seconds):
        return None
    return worker.turns.filter(status__in=_UNFINISHED).first()


def evidence_of(worker: Worker, state: ContainerState | None, now: datetime) -> Evidence:
    """Collect what is known of a worker.

    Args:
        worker: its row.
        state: its container as just observed; None if there is none.
        now: the moment.

    """
    heartbeat = _read(worker.heartbeat)
    # A worker that was just woken cannot have spoken while it slept.
    spoken = worker.heartbeat_at and max(worker.heartbeat_at, worker.status_changed_at)
    statuses = set(worker.turns.values_list("status", flat=True))
    return Evidence(
        status=worker.status,
        container=None if state is None else state.phase,
        is_removed=worker.removed_at is not None,
        oom_killed=bool(worker.oom_killed or (state is not None and state.oom_killed)),
        word_seconds=None if spoken is None else max(0.0, (now - spoken).total_seconds()),
        phase=None if heartbeat is None else heartbeat.phase,
        signs=None if heartbeat is None else heartbeat.agent,
        is_asked=not statuses.isdisjoint(_UNFINISHED),
        had_turn=bool(statuses),
        is_talker=worker.worker_type == WorkerType.PO,
    )


def _changes(worker: Worker, found: Liveness, now: datetime) -> dict[str, Any]:
    words = {"verdict": found.verdict, "verdict_ground": found.ground, "verdict_detail": found.detail}
    changes: dict[str, Any] = {name: value for name, value in words.items() if getattr(worker, name) != value}
    if "verdict" in changes or (changes and found.verdict == Verdict.WAITING_HUMAN):
        changes["verdict_since"] = now
    return changes


def _read(heartbeat: dict[str, Any] | None) -> Heartbeat | None:
    if heartbeat is None:
        return None
    try:
        return Heartbeat.model_validate(heartbeat, extra="ignore")
    except ValidationError:
        # Written by another version of us; the next one comes within seconds.
        return None
