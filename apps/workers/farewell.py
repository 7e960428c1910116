"""The end of a whole stack: every worker hands in its work while somebody is there to take it.

Nobody reconciles meanwhile. The rows keep what a reconciler would have written, so the next start has only to
conclude them, and may send somebody to do the rest.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Final

from django.utils import timezone

from apps.errors import OrchestratorError
from apps.workers import consumer_apply, outcomes, reconciler_end, rescue
from apps.workers.composition import Hands
from apps.workers.models import ACTIVE, Worker
from apps.workers.runtime.base import ContainerState
from worker_image.contract import ErrorCode

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2


def part(hands: Hands, *, seconds: float) -> int:
    """Ask every worker to stop, store what they made, and remove their containers; tells how many there were.

    A worker whose work could not be stored keeps its container, and its row says since when work may be lost.

    Args:
        hands: what to do it with.
        seconds: after which no other worker is looked after.

    Raises:
        RuntimeUnavailable: nothing is known of any container.

    """
    deadline = time.monotonic() + seconds
    states = {state.name: state for state in hands.runtime.list_owned()}
    rows = Worker.objects.filter(status__in=ACTIVE, removed_at=None)
    workers = [worker for worker in rows if worker.container_name in states]
    for worker in workers:
        _ask(worker, hands)
    _wait(workers, hands, until=min(deadline, time.monotonic() + hands.limits.stop_grace_seconds))
    states = {state.name: state for state in hands.runtime.list_owned()} if workers else {}
    # Those that answered first: little is left to do for each.
    for worker in sorted(workers, key=lambda one: _is_alive(one, states)):
        _finish(worker, states.get(worker.container_name), hands, deadline=deadline)
    return len(workers)


def _ask(worker: Worker, hands: Hands) -> None:
    message = "The worker was stopped together with the whole system."
    consumer_apply.stop(worker.pk, outcomes.platform_failure(str(ErrorCode.WORKER_STOPPED), message))
    worker.stop_asked_at = worker.stop_asked_at or timezone.now()
    Worker.objects.filter(pk=worker.pk).update(stop_asked_at=worker.stop_asked_at)
    try:
        hands.runtime.ask_to_stop(worker.container_name)
    except OrchestratorError as error:
        logger.warning("Worker %s could not be asked to stop: %s", worker.pk, error)


def _wait(workers: Iterable[Worker], hands: Hands, *, until: float) -> None:
    while time.monotonic() < until:
        states = {state.name: state for state in hands.runtime.list_owned()}
        if not any(_is_alive(worker, states) for worker in workers):
            return
        time.sleep(_POLL_SECONDS)


def _is_alive(worker: Worker, states: Mapping[str, ContainerState]) -> bool:
    state = states.get(worker.container_name)
    return state is not None and state.phase in reconciler_end.ALIVE


def _finish(worker: Worker, state: ContainerState | None, hands: Hands, *, deadline: float) -> None:
    now = timezone.now()
    try:
        if time.monotonic() < deadline:
            if state is not None:
                reconciler_end.capture(worker, state, hands)
            if rescue.secure(worker, state, hands, now):
                hands.runtime.remove(worker.container_name)
                Worker.objects.filter(pk=worker.pk).update(removed_at=now, observed_at=now)
                return
    except OrchestratorError as error:
        logger.warning("The work of worker %s could not be stored: %s", worker.pk, error)
    rescue.note_unstored(worker, now)
