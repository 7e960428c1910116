"""Takes commits out of a container that can no longer upload them: file by file, believed by digest alone.

A commit of the last seconds consists of loose objects. Each is fetched, proven
to be what its name says, and put into a repository of our own until everything
that the base does not have is there. What git packed meanwhile is not found
this way; it was in the container for longer and stands in an earlier snapshot.
"""

import hashlib
import re
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from apps import storage
from apps.errors import Invalid, Unavailable
from apps.workers import snapshots
from apps.workers.git import Git
from apps.workers.models import Snapshot, Worker
from apps.workers.runtime.base import ContainerFileNotFound, ContainerFileRefused, ContainerRuntime
from worker_image.contract import MAX_BUNDLE_BYTES

SHA: Final = re.compile(r"[0-9a-f]{40}")
MAX_OBJECTS: Final = 5_000
MAX_SECONDS: Final = 60.0
_MAX_BYTES: Final = 200 * 2**20
_MAX_OBJECT_BYTES: Final = 64 * 2**20
#: Some 200,000 entries; each is kept in memory for a while.
_MAX_TREE_BYTES: Final = 8 * 2**20
_KINDS: Final = frozenset({b"commit", b"tree", b"blob"})
_PARENTS: Final = re.compile(rb"^(?:tree|parent) ([0-9a-f]{40})$", re.MULTILINE)
_SHA_BYTES: Final = 20
_SUBMODULE: Final = b"160000 "


class CommitsNotInTime(Unavailable):
    """Taking the commits out of the container took too long."""

    code = "commits_not_in_time"


class CommitsUnreachable(Invalid):
    """The container's commits cannot be taken out of it."""

    code = "commits_unreachable"


def store(worker: Worker, head: str, runtime: ContainerRuntime) -> Snapshot:
    """Store a snapshot with the commits up to a head that only the container has.

    Args:
        worker: whose container.
        head: the commit at the end of its branch.
        runtime: where the container is.

    Raises:
        CommitsUnreachable: an object is missing, damaged or beyond the bounds.
        CommitsNotInTime: the machine is busy; try again.
        RuntimeUnavailable: nothing is known of the container; ask again.
        GitFailed, storage.DiskFull, storage.StorageUnavailable: it could not be stored here; try again.
        snapshots.SnapshotQuota, snapshots.BundleTooLarge: this worker may not store it.

    """
    with tempfile.TemporaryDirectory(prefix="rescue-") as name, storage.file_errors():
        directory = Path(name)
        repository = _with_base(worker, directory)
        for sha, content in _objects(worker, head, repository, runtime):
            path = directory / "repository" / "objects" / sha[:2] / sha[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        ref = f"refs/heads/{worker.branch}"
        repository.run("update-ref", ref, head)
        bundle = directory / "rescued.bundle"
        repository.run("bundle", "create", "--quiet", str(bundle), ref, f"^{worker.base_sha}")
        words = snapshots.SnapshotWords(
            turn_id=None,
            reason=snapshots.RESCUE,
            branch=worker.branch,
            base_sha=worker.base_sha,
            head_sha=head,
            sha256=hashlib.sha256(bundle.read_bytes()).hexdigest(),
        )
        with bundle.open("rb") as file:
            return snapshots.store_snapshot(
                worker=worker, words=words, content=file, limit_bytes=MAX_BUNDLE_BYTES
            )[0]


def _with_base(worker: Worker, directory: Path) -> Git:
    """Return a bare repository that has the worker's base."""
    base = directory / "base.bundle"
    with storage.open_bundle(worker.workspace_name, sha256=worker.workspace_sha256) as bundle:
        base.write_bytes(bundle.read())
    Git(directory).run("init", "--quiet", "--bare", "--template=", "repository")
    repository = Git(directory / "repository")
    repository.run("fetch", "--quiet", "--no-tags", str(base), "+refs/heads/*:refs/base/*")
    return repository


def _objects(
    worker: Worker, head: str, repository: Git, runtime: ContainerRuntime
) -> Iterator[tuple[str, bytes]]:
    """Yield the objects below a commit that the repository does not have, as they lie in the container."""
    deadline, total = time.monotonic() + MAX_SECONDS, 0
    seen, waiting = {head}, [head]
    known = set(repository.run("cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split())
    while waiting:
        sha = waiting.pop()
        content = _fetch(worker, sha, runtime, limit_bytes=_MAX_BYTES - total)
        total += len(content)
        if time.monotonic() > deadline:
            raise CommitsNotInTime(details={"objects": len(seen)})
        if len(seen) > MAX_OBJECTS:
            raise CommitsUnreachable("There is too much of it.", details={"objects": len(seen)})
        # What the base has is neither fetched nor counted.
        new = _children(sha, content, limit_bytes=_MAX_OBJECT_BYTES) - seen - known
        waiting += new
        seen |= new
        yield sha, content


def _fetch(worker: Worker, sha: str, runtime: ContainerRuntime, *, limit_bytes: int) -> bytes:
    path = f".git/objects/{sha[:2]}/{sha[2:]}"
    try:
        return runtime.fetch(worker.container_name, path, limit_bytes=max(1, limit_bytes))
    except (ContainerFileNotFound, ContainerFileRefused) as error:
        raise CommitsUnreachable("An object of it is not there.", details={"object": sha}) from error


def _children(sha: str, content: bytes, *, limit_bytes: int) -> set[str]:
    """Return what an object refers to, once it is proven to be the one of that name."""
    try:
        unpacked = zlib.decompressobj().decompress(content, limit_bytes)
    except zlib.error as error:
        raise CommitsUnreachable("An object of it is damaged.", details={"object": sha}) from error
    header, _, body = unpacked.partition(b"\0")
    kind = header.partition(b" ")[0]
    if kind not in _KINDS or hashlib.sha1(unpacked, usedforsecurity=False).hexdigest() != sha:
        raise CommitsUnreachable("An object of it is not what it says.", details={"object": sha})
    if kind == b"commit":
        return {found.decode() for found in _PARENTS.findall(body.partition(b"\n\n")[0])}
    if kind == b"tree" and len(body) > _MAX_TREE_BYTES:
        raise CommitsUnreachable("A directory of it is too large.", details={"object": sha})
    return set(_entries(body)) if kind == b"tree" else set()


def _entries(tree: bytes) -> Iterator[str]:
    position = 0
    while position < len(tree):
        name_end = tree.find(b"\0", position)
        if name_end < 0:
            return
        is_submodule = tree.startswith(_SUBMODULE, position)
        position = name_end + 1 + _SHA_BYTES
        if not is_submodule:
            yield tree[name_end + 1 : position].hex()
