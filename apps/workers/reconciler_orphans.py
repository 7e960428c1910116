"""Removes what a crash may have left: containers, volumes, users and streams of rows that have ended.

The homes of people who were deleted go here, too: each has a row that says so.

Never anything that runs and cannot be attributed: a name that is not ours, or a
row that this database does not know, may be somebody else's. What has ended
long ago, and no row knows, is nobody's.
"""

import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from apps.workers import product_owner
from apps.workers.composition import Hands
from apps.workers.models import Verification, Worker
from apps.workers.runtime.base import ContainerState, Phase

logger = logging.getLogger(__name__)

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
WORKER_NAME: Final = re.compile(rf"worker-({_UUID})")
VERIFICATION_NAME: Final = re.compile(rf"verification-({_UUID})-(\d+)")


#: Longer than any call needs to start what it has made.
_HALF_MADE_SECONDS: Final = 600.0
#: Somebody may still want to look at a container whose row was deleted.
_UNKNOWN_KEPT: Final = timedelta(hours=1)


def remove_orphans(*, hands: Hands) -> int:
    """Remove what no active row owns; returns how much it was.

    Raises:
        RuntimeUnavailable, ChannelUnavailable: nothing is known, so nothing is removed.

    """
    removed = _remove_containers(hands) + _remove_leftovers(hands) + _forget_workers(hands)
    return removed + product_owner.remove_homes(hands.runtime)


def _remove_containers(hands: Hands) -> int:
    # The rows are read after the containers: one that starts in between cannot look like an orphan.
    states = hands.runtime.list_owned()
    orphans = [*_of_workers(states), *_of_verifications(states)]
    for name in orphans:
        logger.warning("Removing container %s: no row needs it", name)
        hands.runtime.remove(name)
    return len(orphans)


def _of_workers(states: Iterable[ContainerState]) -> list[str]:
    found = {UUID(match[1]): state for state in states if (match := WORKER_NAME.fullmatch(state.name))}
    rows = dict(Worker.objects.filter(pk__in=found).values_list("pk", "status"))
    return [
        state.name
        for worker_id, state in found.items()
        if (rows[worker_id] in Worker.final_statuses() if worker_id in rows else _is_nobodys(state))
    ]


def _of_verifications(states: Iterable[ContainerState]) -> list[str]:
    found = [(match, state) for state in states if (match := VERIFICATION_NAME.fullmatch(state.name))]
    rows = Verification.objects.in_bulk([UUID(match[1]) for match, _ in found])
    return [
        state.name
        for match, state in found
        if (_is_superseded(row, int(match[2])) if (row := rows.get(UUID(match[1]))) else _is_nobodys(state))
    ]


def _is_nobodys(state: ContainerState) -> bool:
    """Tell whether a container without a row ended so long ago that nobody will ask for it."""
    ended_at = state.finished_at
    return state.phase is Phase.EXITED and ended_at is not None and timezone.now() - ended_at > _UNKNOWN_KEPT


def _remove_leftovers(hands: Hands) -> int:
    names = hands.runtime.remove_leftovers(min_age_seconds=_HALF_MADE_SECONDS)
    if names:
        logger.warning("Removed what crashed calls have left: %s", ", ".join(names))
    return len(names)


def _is_superseded(row: Verification, attempt: int) -> bool:
    return row.status in Verification.final_statuses() or attempt < row.attempts


def _forget_workers(hands: Hands) -> int:
    known = hands.channel.list_known_workers()
    ended = Worker.objects.filter(pk__in=known, status__in=Worker.final_statuses())
    worker_ids = list(ended.values_list("pk", flat=True))
    for worker_id in worker_ids:
        logger.warning("Forgetting the channel of worker %s: its row has ended", worker_id)
        hands.channel.shut_out(worker_id)
        hands.channel.drop(worker_id)
    return len(worker_ids)
