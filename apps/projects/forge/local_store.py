"""The steps of the local forge inside one bare repository; each may be repeated after a crash."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from apps.projects import objects
from apps.projects.forge import base
from apps.projects.git import Git, GitFailed, GitLimits

_LOCK_FILE: Final = "orchestrator.lock"
_DRAFT_PREFIX: Final = ".draft-"
_DRAFT_LIFETIME_SECONDS: Final = 3_600
_ABSENT: Final = "0" * 40
_SETTINGS: Final = {
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "true",  # a reflog: a moved branch can be followed back
    "gc.auto": "0",  # unreferenced objects may belong to a step in progress
    "transfer.fsckObjects": "true",
}


@contextlib.contextmanager
def locked(path: Path, *, timeout_seconds: float) -> Iterator[Git]:
    """Hold a repository for a change; git's own children hold it too, so a killed holder is waited for.

    Lock files of git that are found then have no living owner and are removed:
    one left by a kill would block its branch for ever.

    Raises:
        ForgeUnavailable: somebody else held it for ``timeout_seconds``.

    """
    with (path / _LOCK_FILE).open("ab") as lock:
        deadline = time.monotonic() + timeout_seconds
        while not _try_lock(lock.fileno()):
            if time.monotonic() > deadline:
                raise base.ForgeUnavailable("The repository is busy", details={"repository": path.name})
            time.sleep(0.02)
        for leftover in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock")):
            if leftover.name != _LOCK_FILE:
                leftover.unlink(missing_ok=True)
        yield Git(repository=path, inherited=(lock.fileno(),))


def create(path: Path, spec: base.RepositorySpec) -> None:
    """Make a complete repository beside its place and move it there; an existing one stays.

    Raises:
        OSError: the file system refused.

    """
    remove_stale_drafts(path.parent)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=path.parent))
    try:
        git = objects.create_bare(draft, branch=spec.default_branch)
        identity = {
            "orchestrator.projectId": spec.project_id,
            "orchestrator.repositoryId": uuid.uuid4().hex,
            "orchestrator.defaultBranch": spec.default_branch,
        }
        for key, value in {**_SETTINGS, **identity}.items():
            git.run("config", key, value)
        printable = "".join(c if c.isprintable() else " " for c in spec.description)
        (draft / "description").write_text(f"{printable[:1_000]}\n", encoding="utf-8")
        _sync_tree(draft)
        _move_into_place(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move_into_place(draft: Path, path: Path) -> None:
    try:
        os.rename(draft, path)
    except OSError as error:
        # Replaces nothing: somebody else's, made meanwhile, is not empty and stays.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    else:
        _sync(path.parent)


def remove_stale_drafts(root: Path) -> None:
    """Delete what creations that were killed have left behind."""
    oldest = time.time() - _DRAFT_LIFETIME_SECONDS
    for draft in root.glob(f"{_DRAFT_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if draft.stat().st_mtime < oldest:
                shutil.rmtree(draft, ignore_errors=True)


def identity(path: Path) -> dict[str, str]:
    """Return what was recorded when the repository was made: projectid, repositoryid, defaultbranch."""
    git = Git(repository=path)
    git.run("rev-parse", "--git-dir")  # fails on what is no repository, which `config` does not notice
    listing = git.run("config", "-z", "--get-regexp", "^orchestrator\\.", allowed_exits=(0, 1))
    pairs = (entry.partition("\n") for entry in listing.output.decode("utf-8", "replace").split("\0")[:-1])
    return {key.removeprefix("orchestrator."): value for key, _, value in pairs}


def store_commit(git: Git, *, source: Path, sha: str, limits: GitLimits) -> None:
    """Bring a commit with its history into the repository; no branch points to it yet.

    Raises:
        CommitNotFound: the source lacks it, or the history is incomplete.

    """
    if not objects.has_commit(git, sha):
        known = git.text("for-each-ref", "--format=%(objectname)", "refs/heads").split()
        try:
            objects.copy_commit(Git(repository=source), git, sha=sha, known=known, limits=limits)
        except objects.ObjectNotFound as error:
            raise base.CommitNotFound(details={"sha": sha}) from error
    try:
        git.run("rev-list", "--objects", "--quiet", sha, "--not", "--branches")
    except GitFailed as error:
        raise base.CommitNotFound("The history of this commit is incomplete", details={"sha": sha}) from error


def move_branch(git: Git, *, branch: str, to: str, expected: str | None) -> None:
    """Point a branch to a commit if it still points where the caller saw it.

    Raises:
        BranchMoved: it does not.

    """
    try:
        git.run("update-ref", f"refs/heads/{branch}", to, expected or _ABSENT)
    except GitFailed as error:
        now = objects.branch_head(git, branch)
        if now == to:
            return
        if now == expected:
            raise
        raise base.BranchMoved(details={"branch": branch, "expected": expected, "found": now}) from error


def check_mergeable(git: Git, spec: base.MergeSpec, current: str) -> None:
    """Refuse a merge whose parts are not as they were when it was verified.

    Args:
        git: in the repository that has the commits.
        spec: the merge.
        current: where the branch is now.

    Raises:
        CommitNotFound, BaseMoved, NothingToMerge, MergeConflict: see `Forge.merge`.

    """
    if not objects.has_commit(git, spec.source_sha):
        raise base.CommitNotFound(details={"sha": spec.source_sha})
    if current != spec.expected_base:
        details = {"branch": spec.into, "expected": spec.expected_base, "found": current}
        raise base.BaseMoved(details=details)
    if current == spec.source_sha:
        raise base.NothingToMerge(details={"sha": current})
    if not objects.is_ancestor(git, current, spec.source_sha):
        raise base.MergeConflict(details={"source": spec.source_sha, "base": current})


def make_merge_commit(git: Git, spec: base.MergeSpec) -> str:
    """Make the merge commit of a request and return its id; no branch points to it yet."""
    return objects.commit_tree(
        git,
        tree=f"{spec.source_sha}^{{tree}}",
        parents=(spec.expected_base, spec.source_sha),
        message=base.merge_message(spec.message, spec.request_id),
        authored_at=spec.authored_at,
    )


def merges(git: Git, head: str) -> list[base.MergeResult]:
    """Return the merges of requests up to a commit, oldest first.

    Only the first-parent line counts: what a merged branch says about itself is not believed.
    """
    form = "--format=%H%x00%P%x00%B"
    log = git.run("log", "-z", "--first-parent", "--min-parents=2", "--reverse", form, head).output
    fields = log.decode("utf-8", "replace").split("\0")
    found = []
    for sha, parents, message in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        request_id = base.request_of(message)
        if request_id is not None:
            first, second = parents.split(" ")[:2]
            found.append(base.MergeResult(request_id=request_id, sha=sha, base_sha=first, source_sha=second))
    return found


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_tree(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
