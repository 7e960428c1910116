"""Writes git bundles: what a workspace, a verification or a release is cloned from."""

import hashlib
import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from apps.errors import NotFound
from apps.projects import objects
from apps.projects.bundle_header import read_header
from apps.projects.git import Git
from apps.projects.git_names import check_branch, check_sha


class BundleCommitNotFound(NotFound):
    """The repository does not have the commit a bundle was asked of."""

    code = "commit_not_found"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleInfo:
    """A git bundle that was written to a file."""

    head_sha: str
    sha256: str
    size: int  # bytes


def make_bundle(
    repository: Path, *, sha: str, destination: Path, branch: str = "main", base_sha: str | None = None
) -> BundleInfo:
    """Write a commit with its whole history into a bundle, for a verification unit or a release.

    A bundle and not an archive: `git clone -b BRANCH FILE` proves by the commit id that what runs is
    what was verified. Not a shallow one: bundles cannot be, and generated projects are small.

    Args:
        repository: a bare repository of ours, e.g. a forge's mirror or an imported bundle; not changed.
        sha: the commit.
        destination: the file; it appears complete or not at all.
        branch: the name under which the commit is found in the bundle.
        base_sha: a second commit, found as ``refs/heads/base``: where checks come from.

    Raises:
        BundleCommitNotFound: the repository lacks one of the commits.
        OSError: the file cannot be written.

    """
    wanted = {check_branch(branch): check_sha(sha)}
    if base_sha is not None:
        wanted["base"] = check_sha(base_sha)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=destination.parent) as scratch:
        # Refs of the moment stay out of the repository: others may be reading or changing it.
        made = objects.create_bare(Path(scratch), branch=branch, alternates=repository)
        git = Git(repository=made.repository, durable=False)
        for name, commit in wanted.items():
            if not objects.has_commit(git, commit):
                raise BundleCommitNotFound(details={"sha": commit})
            git.run("update-ref", f"refs/heads/{name}", commit)
        return write_bundle(git, [*(f"refs/heads/{name}" for name in wanted), "HEAD"], destination)


def write_bundle(git: Git, refs: list[str], destination: Path) -> BundleInfo:
    """Write refs with their whole history into a bundle; the head reported is that of the first ref.

    Raises:
        OSError: the file cannot be written.

    """
    draft = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.draft")
    try:
        git.run("bundle", "create", "--quiet", str(draft.absolute()), *refs)
        with draft.open("rb") as written:
            header = read_header(written)
            written.seek(0)
            digest = hashlib.file_digest(written, "sha256").hexdigest()
            os.fsync(written.fileno())
        info = BundleInfo(head_sha=header.refs[refs[0]], sha256=digest, size=draft.stat().st_size)
        draft.replace(destination)
        return info
    finally:
        draft.unlink(missing_ok=True)
