"""Removes what a crash may have left: containers, users and streams of rows that have ended.

Never anything that cannot be attributed: a name that is not ours, or a row that
this database does not know, is somebody else's.
"""

import logging
import re
from typing import Final
from uuid import UUID

from apps.workers.composition import Hands
from apps.workers.models import Verification, Worker

logger = logging.getLogger(__name__)

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_WORKER_NAME: Final = re.compile(rf"worker-({_UUID})")
_VERIFICATION_NAME: Final = re.compile(rf"verification-({_UUID})-(\d+)")


def remove_orphans(*, hands: Hands) -> int:
    """Remove what no active row owns; returns how much it was.

    Raises:
        RuntimeUnavailable, ChannelUnavailable: nothing is known, so nothing is removed.

    """
    return _remove_containers(hands) + _forget_workers(hands)


def _remove_containers(hands: Hands) -> int:
    names = [state.name for state in hands.runtime.list_owned()]
    workers = {name: UUID(found[1]) for name in names if (found := _WORKER_NAME.fullmatch(name))}
    checks = {name: found for name in names if (found := _VERIFICATION_NAME.fullmatch(name))}
    # The rows are read after the containers: one that starts in between cannot look like an orphan.
    ended = Worker.objects.filter(pk__in=workers.values(), status__in=Worker.final_statuses())
    ended_ids = set(ended.values_list("pk", flat=True))
    rows = Verification.objects.in_bulk([UUID(found[1]) for found in checks.values()])
    orphans = [name for name, worker_id in workers.items() if worker_id in ended_ids]
    orphans += [
        name
        for name, found in checks.items()
        if (row := rows.get(UUID(found[1]))) is not None and _is_superseded(row, int(found[2]))
    ]
    for name in orphans:
        logger.warning("Removing container %s: its row has ended", name)
        hands.runtime.remove(name)
    return len(orphans)


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
