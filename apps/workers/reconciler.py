"""Brings a worker's row and its container together, one short step at a time.

Every step may be repeated and may be cut off anywhere: what it does outside the
database has a derived name, and what is learned is written down before the
source of it is destroyed. How a worker ends stands in ``reconciler_end``.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.errors import Invalid
from apps.failures import Failure
from apps.workers import (
    consumer_apply,
    instructions,
    liveness_rows,
    outcomes,
    reconciler_building,
    reconciler_idle,
    reconciler_queue,
    selectors,
)
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp as FollowUp
from apps.workers.followups import FollowUps as FollowUps
from apps.workers.followups import again
from apps.workers.liveness import Liveness
from apps.workers.models import TurnStatus, Worker, WorkerStatus
from apps.workers.reconciler_end import ALIVE, end, end_turn
from apps.workers.runtime.base import ContainerState, ImageMissing, RuntimeUnavailable
from apps.workers.runtime.ends import LOST

logger = logging.getLogger(__name__)

_FINAL: Final = Worker.final_statuses()
_TROUBLE_CHARACTERS: Final = 500


def reconcile_worker(*, worker_id: UUID, hands: Hands) -> FollowUps:
    """Take one step for a worker.

    Returns:
        The rows for which a further step is possible at once.

    Raises:
        WorkerNotFound: there is none.
        IllegalTransition: somebody else moved it meanwhile.
        RuntimeUnavailable, ChannelUnavailable: nothing is known; take the step again later.

    """
    worker = selectors.get_worker(worker_id)
    if worker.status in _FINAL:
        return []
    now = timezone.now()
    if worker.status == WorkerStatus.CANCELING or worker.stop_failure or worker.released_at:
        return end(worker, hands, now)
    try:
        return _go_on(worker, hands, now)
    except RuntimeUnavailable as error:
        _note_trouble(worker, error)
        raise


def _go_on(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    if worker.status == WorkerStatus.PENDING:
        return _wait_for_place(worker, hands, now)
    if worker.status == WorkerStatus.BUILDING:
        step = reconciler_building.watch(worker, hands, now)
        return _decide(worker, step) if isinstance(step, Failure) else step
    state = hands.runtime.inspect(worker.container_name)
    if _is_start_unproven(worker, state):
        return _start(worker, hands, now)
    if state is None or state.phase not in ALIVE:
        return end(worker, hands, now)
    found = liveness_rows.note(worker, state, now)
    return (
        _give_up_on_stalled(worker, found, hands, now)
        or reconciler_idle.rest(worker, state, hands, now)
        or _watch(worker, hands, now)
    )


def _note_trouble(worker: Worker, error: RuntimeUnavailable) -> None:
    """Keep why a worker has no container yet, for whoever asks after its deadline."""
    if worker.status == WorkerStatus.STARTING and worker.observed_at is None:
        trouble = {"code": error.error_code, "message": error.message[:_TROUBLE_CHARACTERS]}
        Worker.objects.filter(pk=worker.pk).update(trouble=trouble)


def _too_late(worker: Worker) -> Failure:
    """Return why a worker that could not be started in time ends, with what the runtime said last."""
    message = "The worker's container could not be started in time."
    if not worker.trouble:
        return outcomes.platform_failure("spawn_timeout", message)
    words = f"{message} The runtime said last: {worker.trouble['message']}"
    return outcomes.platform_failure("spawn_timeout", words, details={"cause": worker.trouble})


def _is_start_unproven(worker: Worker, state: ContainerState | None) -> bool:
    """Tell whether nobody came back from starting its container; to start it again adopts what there is.

    The daemon, or who spoke to it, may have died in between: such a container was made and never started, or
    is a spare that has its name but not its environment. Neither will ever say a word.
    """
    if worker.status == WorkerStatus.RUNNING or worker.observed_at is not None:
        return False
    return state is None or state.phase in ALIVE


def _wait_for_place(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    limits = hands.limits
    try:
        has_claimed = reconciler_building.claim_place(worker, hands)
    except Invalid as error:
        failure = outcomes.platform_failure(error.error_code, error.message, retryable=False)
        return _decide(worker, failure)
    if has_claimed:
        # Several places may have become free at once.
        return [again(worker), *reconciler_queue.nudge_next()]
    if worker.deadline_at <= now:
        message = f"No place became free among the {limits.max_concurrent} workers that may run at once."
        return _decide(worker, outcomes.platform_failure("resource_exhausted", message))
    return reconciler_idle.make_way(worker, now)


def _start(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    if worker.deadline_at <= now:
        return _decide(worker, _too_late(worker))
    # The user first: a container that starts without one would be refused by the channel.
    hands.channel.admit(worker.pk, worker.password_sha256)
    try:
        with instructions.written(worker) as inputs:
            spec = hands.describe(worker)
            hands.runtime.start(replace(spec, inputs={**spec.inputs, **inputs}))
    except Invalid as error:
        # An image that somebody has just removed is built again for the next attempt.
        may_retry = error.error_code == LOST or (hands.images is not None and isinstance(error, ImageMissing))
        failure = outcomes.platform_failure(error.error_code, error.message, retryable=may_retry)
        return _decide(worker, failure)
    Worker.objects.filter(pk=worker.pk).update(observed_at=now, trouble=None)
    return [
        FollowUp(kind="turn", id=turn_id)
        for turn_id in worker.turns.filter(status=TurnStatus.PENDING).values_list("pk", flat=True)
    ]


def _watch(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    """Look after a living container. A stale heartbeat alone proves nothing: it was just seen alive."""
    Worker.objects.filter(pk=worker.pk).update(observed_at=now)
    if (used := _disk_mb(worker)) > settings.WORKERS_DISK_MB:
        return _decide(worker, outcomes.disk_full(used, limit_mb=settings.WORKERS_DISK_MB))
    if worker.deadline_at <= now and not reconciler_idle.may_rest(worker):
        if worker.status == WorkerStatus.STARTING:
            message = "The worker's container runs but has not reported in time."
            return _decide(worker, outcomes.platform_failure("spawn_timeout", message))
        message = "The worker had nothing to do for longer than it may wait."
        return _decide(worker, outcomes.platform_failure("worker_deadline", message, retryable=False))
    if not hands.channel.is_admitted(worker.pk):
        logger.warning("The channel has forgotten worker %s; admitting it again", worker.pk)
        hands.channel.admit(worker.pk, worker.password_sha256)
    return []


def _disk_mb(worker: Worker) -> int:
    """Return what the worker's files take, in MiB, as its wrapper last told; unknown is 0."""
    used = (worker.heartbeat or {}).get("workspace_bytes")
    return used // 2**20 if isinstance(used, int) else 0


def _give_up_on_stalled(worker: Worker, found: Liveness, hands: Hands, now: datetime) -> FollowUps:
    """End the turn of an agent that is proven stalled, and the worker with it; a new attempt may follow."""
    turn = liveness_rows.stalled_turn(worker, found, now, patience_seconds=hands.limits.stall_seconds)
    if turn is None:
        return []
    failure = outcomes.stall(found.ground, hands.limits.stall_seconds)
    # First the worker: a crash in between leaves a turn that is given up again.
    consumer_apply.stop(worker.pk, failure)
    end_turn(turn.pk, outcomes.TurnEnding(status=TurnStatus.CRASHED, failure=failure))
    return [again(worker)]


def _decide(worker: Worker, failure: Failure) -> FollowUps:
    consumer_apply.stop(worker.pk, failure)
    return [again(worker)]
