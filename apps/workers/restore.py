"""Makes a checkout again out of what was stored of a worker's workspace: for people, at their own risk.

Stored bundles are a worker's words. Their packs go through ``index-pack
--strict``, only the two references that a snapshot may have are taken, links
are written as plain files, and no hook or filter runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from apps import storage
from apps.errors import Conflict, Invalid, NotFound
from apps.workers import rescue_commits, snapshots
from apps.workers.git import Git
from apps.workers.models import Snapshot, Worker
from worker_image.contract import DIRTY_REF

_SIGNATURE: Final = b"# v2 git bundle\n"
_MAX_HEADER_LINES: Final = 100
_MAX_LINE_BYTES: Final = 1_000
_MAX_UNPACKED_BYTES: Final = 1024**3


class NothingStored(NotFound):
    """No snapshot of this worker is stored."""

    code = "nothing_stored"


class DirectoryNotEmpty(Conflict):
    """The directory is not empty."""

    code = "directory_not_empty"


class SnapshotUnreadable(Invalid):
    """The stored snapshot is not a bundle that can be read."""

    code = "snapshot_unreadable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What was made."""

    directory: Path
    branch: str
    head_sha: str
    snapshot: Snapshot
    has_uncommitted: bool
    """Whether the snapshot had work that was not committed; it is not committed here either."""


def restore(worker: Worker, directory: Path, *, snapshot_id: UUID | None = None) -> Restored:
    """Make a checkout of a worker's latest stored snapshot, or of a named one.

    Commits that were taken out of a dead container are completed by the uncommitted work of the snapshot
    before them: whatever of it they did not change themselves.

    Args:
        worker: whose workspace.
        directory: where to; it must be empty or absent.
        snapshot_id: which snapshot.

    Raises:
        NothingStored: there is no such snapshot, or none at all.
        DirectoryNotEmpty: nothing was written.
        SnapshotUnreadable, GitFailed: the snapshot is damaged, or forged.
        storage.BundleMissing, storage.BundleDamaged: it was collected, or is not what was stored.

    """
    stored = worker.snapshots.order_by("-created_at")
    found = stored.first() if snapshot_id is None else stored.filter(pk=snapshot_id).first()
    if found is None:
        raise NothingStored(details={"worker_id": str(worker.pk)})
    if directory.exists() and any(directory.iterdir()):
        raise DirectoryNotEmpty(details={"directory": str(directory)})
    directory.mkdir(parents=True, exist_ok=True)
    git = Git(directory)
    git.run("init", "--quiet", "--template=", f"--initial-branch={found.branch}")
    git.run("config", "core.symlinks", "false")
    _take(git, worker.workspace_name, worker.workspace_sha256)
    refs = _take(git, found.name, found.sha256)
    head = refs.get(f"refs/heads/{found.branch}", found.base_sha)
    git.run("update-ref", f"refs/heads/{found.branch}", head)
    dirty = refs.get(DIRTY_REF) or _left_uncommitted(git, worker, found, head)
    git.run("read-tree", "-u", "--reset", dirty or head)
    git.run("read-tree", head)
    return Restored(
        directory=directory,
        branch=found.branch,
        head_sha=head,
        snapshot=found,
        has_uncommitted=dirty is not None,
    )


def _left_uncommitted(git: Git, worker: Worker, rescued: Snapshot, head: str) -> str | None:
    """Return the tree of rescued commits and the uncommitted work before them; None if there is none."""
    if rescued.reason != snapshots.RESCUE:
        return None
    before = worker.snapshots.filter(created_at__lt=rescued.created_at).order_by("-created_at").first()
    refs = {} if before is None else _take(git, before.name, before.sha256)
    if (dirty := refs.get(DIRTY_REF)) is None:
        return None
    committed = set(_changes(git, f"{dirty}^", head))
    index = [line for path, line in _changes(git, f"{dirty}^", dirty).items() if path not in committed]
    git.run("read-tree", head)
    git.run("update-index", "-z", "--index-info", stdin="".join(index).encode())
    tree = git.run("write-tree")
    return None if tree == git.run("rev-parse", f"{head}^{{tree}}") else tree


def _changes(git: Git, old: str, new: str) -> dict[str, str]:
    """Return path → what an index is told to have that file as in the new commit."""
    listed = git.run("diff-tree", "-r", "-z", "--no-renames", old, new).split("\0")
    found = {}
    for words, path in zip(listed[::2], listed[1::2], strict=False):
        _, mode, _, sha, _ = words.split(" ")
        found[path] = f"{mode} {sha}\t{path}\0"
    return found


def _take(git: Git, name: str, sha256: str) -> dict[str, str]:
    """Put a bundle's objects into a repository and return its references."""
    with storage.open_bundle(name, sha256=sha256) as bundle:
        refs = read_refs(bundle)
        pack = bundle.read()
    limit = f"--max-input-size={_MAX_UNPACKED_BYTES}"
    git.run("index-pack", "--stdin", "--fix-thin", "--strict", limit, stdin=pack)
    return refs


def read_refs(bundle: BinaryIO) -> dict[str, str]:
    """Read the references of a bundle up to its pack, of which nothing is read.

    Raises:
        SnapshotUnreadable: this is not the head of a bundle.

    """
    if bundle.readline(_MAX_LINE_BYTES) != _SIGNATURE:
        raise SnapshotUnreadable()
    refs: dict[str, str] = {}
    for _ in range(_MAX_HEADER_LINES):
        line = bundle.readline(_MAX_LINE_BYTES).decode(errors="replace")
        if line == "\n":
            return refs
        sha, _, ref = line.rstrip("\n").partition(" ")
        if sha.startswith("-"):
            continue
        if not rescue_commits.SHA.fullmatch(sha):
            break
        refs[ref] = sha
    raise SnapshotUnreadable()
