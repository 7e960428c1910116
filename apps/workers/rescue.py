"""Nothing goes with a container unsaid: before a removal a worker's work is stored, or its loss is recorded.

What is stored is observed, not asked: the head of the branch and the wrapper's
note of its last look are read from the container, dead or alive, as files.
Commits that no snapshot has are fetched object by object, each proven by its
own name, so nothing that the agent configured runs here. Edits after the last
look cannot be had; their time is written on the row.
"""

import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from apps.errors import Invalid, NotFound, Unavailable
from apps.workers import rescue_commits, snapshots
from apps.workers.composition import Hands
from apps.workers.models import TurnStatus, Worker
from apps.workers.runtime.base import (
    ContainerFileNotFound,
    ContainerFileRefused,
    ContainerNotFound,
    ContainerRuntime,
    ContainerState,
    RuntimeUnavailable,
)
from worker_image.contract import SAVED_NOTE

logger = logging.getLogger(__name__)

#: How long a container is kept because its work cannot be stored, for example while our disk is full.
PATIENCE_SECONDS: Final = 600
#: From the wrapper's look to the row of the snapshot with what it saw: it is bundled and uploaded first.
LOOK_SECONDS: Final = 60
_WITHOUT_A_LOOK: Final = (TurnStatus.PENDING, TurnStatus.RUNNING, TurnStatus.CRASHED)
_MAX_NOTE_BYTES: Final = 10_000
_MAX_REFS_BYTES: Final = 1_000_000


def secure(worker: Worker, state: ContainerState | None, hands: Hands, now: datetime) -> bool:
    """Store what a worker made, as far as it is not stored; tells whether its container may be removed.

    Raises:
        RuntimeUnavailable: nothing is known of its container; ask again.
        ContainerNotFound: it vanished meanwhile; ask again.

    """
    if not worker.workspace_name or not worker.turns.exists():
        return True
    if worker.ended_at is None:
        worker.ended_at = now
        Worker.objects.filter(pk=worker.pk, ended_at=None).update(ended_at=now)
    try:
        if state is not None:
            return _secure(worker, hands.runtime, now)
    except (RuntimeUnavailable, ContainerNotFound):
        raise
    except Unavailable as error:
        # Ours is the fault (a full disk, say), so the container waits for us, within bounds.
        logger.warning("Worker %s is kept until its work is stored: %s", worker.pk, error)
        if now < worker.ended_at + timedelta(seconds=PATIENCE_SECONDS):
            return False
    except (Invalid, NotFound) as error:
        logger.warning("The commits of worker %s cannot be stored: %s", worker.pk, error)
    _note_loss(worker, _last_look(worker), now)
    return True


def note_unstored(worker: Worker, now: datetime) -> None:
    """Write down that a worker's container goes without a look at what it has."""
    if worker.workspace_name and worker.turns.exists():
        _note_loss(worker, _last_look(worker), now)


def _secure(worker: Worker, runtime: ContainerRuntime, now: datetime) -> bool:
    head, note = _head_of(worker, runtime), _note_of(worker, runtime)
    if not head and not note and not worker.snapshots.exists():
        return True  # it has no checkout yet
    if head not in ("", worker.base_sha) and not worker.snapshots.filter(head_sha=head).exists():
        rescue_commits.store(worker, head, runtime)
        logger.info("Commit %s of worker %s was taken from its container", head[:12], worker.pk)
    if (since := _edits_lost_since(worker, note)) is not None:
        _note_loss(worker, since, now)
    return True


def _head_of(worker: Worker, runtime: ContainerRuntime) -> str:
    """Return the commit that the worker's branch is at; empty if there is no such branch."""
    ref = f"refs/heads/{worker.branch}"
    head = _read(worker, runtime, f".git/{ref}", limit_bytes=_MAX_NOTE_BYTES).strip()
    if not head:
        packed = _read(worker, runtime, ".git/packed-refs", limit_bytes=_MAX_REFS_BYTES)
        head = next((line[:40] for line in packed.splitlines() if line[41:] == ref), "")
    return head if rescue_commits.SHA.fullmatch(head) else ""


def _edits_lost_since(worker: Worker, note: Mapping[str, object]) -> datetime | None:
    """Return the time of the wrapper's last look, if edits may have been made after it."""
    if note.get("is_final") is True:
        return None
    # Between two turns nobody edits, and a turn ends with a look, unless it was cut off.
    is_working = worker.turns.filter(status__in=_WITHOUT_A_LOOK).exists()
    if not is_working and note.get("is_saved") is True:
        return None
    return _moment(note.get("saved_at")) or _last_look(worker)


def _note_loss(worker: Worker, since: datetime, now: datetime) -> None:
    since = min(since, now)
    Worker.objects.filter(pk=worker.pk, work_lost_since=None).update(work_lost_since=since)
    logger.warning("Edits of worker %s after %s may be lost", worker.pk, since.isoformat())


def _last_look(worker: Worker) -> datetime:
    """Return a moment that is not later than the wrapper's last look, which nobody has noted."""
    began = worker.started_at or worker.created_at
    latest = worker.snapshots.exclude(reason=snapshots.RESCUE).order_by("-created_at").first()
    return began if latest is None else max(began, latest.created_at - timedelta(seconds=LOOK_SECONDS))


def _note_of(worker: Worker, runtime: ContainerRuntime) -> dict[str, object]:
    with contextlib.suppress(ValueError, RecursionError):
        words = json.loads(_read(worker, runtime, SAVED_NOTE, limit_bytes=_MAX_NOTE_BYTES))
        return words if isinstance(words, dict) else {}
    return {}


def _moment(words: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(words) if isinstance(words, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(worker: Worker, runtime: ContainerRuntime, path: str, *, limit_bytes: int) -> str:
    """Return a small file of the container; what it does not have, or hides behind a link, is empty."""
    try:
        content = runtime.fetch(worker.container_name, path, limit_bytes=limit_bytes)
    except (ContainerFileNotFound, ContainerFileRefused):
        return ""
    return content.decode(errors="replace")
