"""Bundles that workers upload: received whole, checked by digest, stored once, bounded for each worker."""

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Sum

from apps import storage
from apps.errors import Invalid
from apps.workers.limits import MAX_SNAPSHOT_BYTES, MAX_SNAPSHOTS
from apps.workers.models import Snapshot, Turn, Worker
from worker_image.contract import SnapshotReason

#: Reason of a snapshot that we took out of a container ourselves; no worker may give it.
RESCUE = "rescue"
REASONS = frozenset({*map(str, SnapshotReason), RESCUE})
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


class BundleTooLarge(Invalid):
    """The bundle is over the size limit."""

    code = "bundle_too_large"


class SnapshotQuota(Invalid):
    """The worker has uploaded as much as one worker may."""

    code = "snapshot_quota"


class BundleCorrupted(Invalid):
    """The bundle that arrived is not the one that was announced."""

    code = "bundle_corrupted"


class ForeignTurn(Invalid):
    """This worker has no such turn."""

    code = "foreign_turn"


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotWords:
    """What a worker says of a bundle: claims, checked only for their form."""

    turn_id: UUID | None
    reason: str
    branch: str
    base_sha: str
    head_sha: str
    sha256: str

    def __post_init__(self) -> None:
        """Refuse what has not even the right form.

        Raises:
            Invalid: naming each malformed field.
        """
        problems = {
            "reason": self.reason in REASONS,
            "branch": 0 < len(self.branch) <= 120 and self.branch.isprintable(),
            "base_sha": bool(_SHA.fullmatch(self.base_sha)),
            "head_sha": bool(_SHA.fullmatch(self.head_sha)),
            "sha256": bool(_SHA256.fullmatch(self.sha256)),
        }
        malformed = {name: "malformed" for name, is_right in problems.items() if not is_right}
        if malformed:
            raise Invalid("The description of the bundle is malformed.", details=malformed)


def store_snapshot(
    *, worker: Worker, words: SnapshotWords, content: BinaryIO, limit_bytes: int
) -> tuple[Snapshot, bool]:
    """Keep a bundle; the same bundle for the same reason is kept once.

    Args:
        worker: who sends it.
        words: what it says of it.
        content: the bundle, read to its end or to the limit.
        limit_bytes: the most that is accepted.

    Returns:
        The row, and whether it is new.

    Raises:
        BundleTooLarge: nothing was kept.
        SnapshotQuota: the worker's other bundles leave no room for it; nothing was kept.
        BundleCorrupted: the digest differs; nothing was kept.
        ForeignTurn: the turn it is said to belong to is not this worker's.
        storage.DiskFull: nothing was kept.
    """
    if words.turn_id is not None and not worker.turns.filter(pk=words.turn_id).exists():
        raise ForeignTurn(details={"turn_id": str(words.turn_id)})
    known = Snapshot.objects.filter(worker=worker, sha256=words.sha256, reason=words.reason).first()
    # A bundle that was collected meanwhile is taken in again.
    if known is not None and storage.find_bundle(known.name) is not None:
        return known, False
    if known is None:
        _require_room(worker, size_bytes=0)
    with _received(content, limit_bytes) as (path, digest, size):
        if digest != words.sha256:
            raise BundleCorrupted()
        name = storage.snapshot_name(worker_id=worker.pk, sha256=digest)
        storage.save_bundle(path, name=name)
    return _record(worker, words, name=name, size_bytes=size)


def _record(worker: Worker, words: SnapshotWords, *, name: str, size_bytes: int) -> tuple[Snapshot, bool]:
    """Write the row of a stored bundle, unless it is there, and drop the snapshots that it replaces."""
    try:
        with transaction.atomic():
            # One at a time, so that two uploads at once cannot both take the last room.
            Worker.objects.select_for_update(no_key=True).get(pk=worker.pk)
            known = Snapshot.objects.filter(worker=worker, sha256=words.sha256, reason=words.reason).first()
            if known is not None:
                return known, False
            _drop_superseded(worker, words)
            _require_room(worker, size_bytes=size_bytes)
            snapshot = Snapshot.objects.create(
                worker=worker,
                turn_id=words.turn_id,
                reason=words.reason,
                branch=words.branch,
                base_sha=words.base_sha,
                head_sha=words.head_sha,
                name=name,
                sha256=words.sha256,
                size_bytes=size_bytes,
            )
            return snapshot, True
    except SnapshotQuota:
        _discard([name])
        raise


def _require_room(worker: Worker, *, size_bytes: int) -> None:
    used = worker.snapshots.aggregate(pieces=Count("pk"), total=Sum("size_bytes"))
    if used["pieces"] >= MAX_SNAPSHOTS or (used["total"] or 0) + size_bytes > MAX_SNAPSHOT_BYTES:
        raise SnapshotQuota(
            details={"limit_snapshots": MAX_SNAPSHOTS, "limit_bytes": MAX_SNAPSHOT_BYTES, **used}
        )


def _drop_superseded(worker: Worker, words: SnapshotWords) -> None:
    """Forget a turn's earlier periodic snapshots when a newer one arrives; what a turn ended with stays."""
    if words.reason != SnapshotReason.PERIODIC or words.turn_id is None:
        return
    kept = Turn.objects.filter(worker=worker).exclude(bundle_name="").values("bundle_name")
    earlier = worker.snapshots.filter(turn_id=words.turn_id, reason=words.reason).exclude(name__in=kept)
    names = list(earlier.values_list("name", flat=True))
    earlier.delete()

    def discard() -> None:
        _discard(names)

    transaction.on_commit(discard, robust=True)


def _discard(names: Iterable[str]) -> None:
    """Delete bundles that nothing refers to any more; a name may stand in several rows."""
    for name in names:
        if not (
            Snapshot.objects.filter(name=name).exists() or Turn.objects.filter(bundle_name=name).exists()
        ):
            storage.delete_bundle(name)


@contextlib.contextmanager
def _received(content: BinaryIO, limit_bytes: int) -> Iterator[tuple[Path, str, int]]:
    digest, size = hashlib.sha256(), 0
    with tempfile.TemporaryDirectory(prefix="upload-") as directory, storage.file_errors():
        path = Path(directory) / "bundle"
        with path.open("wb") as file:
            while chunk := content.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > limit_bytes:
                    raise BundleTooLarge(details={"limit_bytes": limit_bytes})
                digest.update(chunk)
                file.write(chunk)
        yield path, digest.hexdigest(), size
