"""Branches, commits and files by git: what is on the host is read from a mirror that was just fetched.

A mirror is a cache of a repository, named by the host's id; it can be deleted at any time.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

from apps.errors import Invalid, OrchestratorError
from apps.projects import objects
from apps.projects.forge import base, local_store
from apps.projects.forge.github import remote
from apps.projects.forge.reading import ReadingVerbs
from apps.projects.git import Git, GitFailed
from apps.projects.git_names import check_branch, check_sha

_LOCK_SECONDS: Final = 60.0
_EVERY_BRANCH: Final = "+refs/heads/*:refs/heads/*"
_WORKFLOWS: Final = ".github/workflows"


class MirrorVerbs(remote.Remote, ReadingVerbs):
    """The verbs of `Forge` that git alone answers."""

    def head(self, repository: base.Repository, branch: str) -> str | None:
        """See `Forge.head`."""
        ref = f"refs/heads/{check_branch(branch)}"
        return self._heads(repository, ref).get(ref)

    def push(
        self, repository: base.Repository, *, source: Path, sha: str, branch: str, expected: str | None
    ) -> None:
        """See `Forge.push`."""
        heads = self._heads(repository, "refs/heads/*")
        current = heads.get(f"refs/heads/{check_branch(branch)}")
        if current == check_sha(sha):
            return
        if current != expected:
            raise base.BranchMoved(details={"branch": branch, "expected": expected, "found": current})
        git = Git(repository=source, limits=remote.TRANSFER_LIMITS)
        _check_complete(git, sha)
        is_default = branch == repository.default_branch
        if is_default and current and not _descends(git, sha, current):
            raise base.BranchMoved("The default branch would lose commits", details={"branch": branch})
        permissions = permissions_of(git, sha, known=frozenset(heads.values()))
        self._send(repository, git, sha=sha, branch=branch, expected=current, permissions=permissions)

    def delete_branch(self, repository: base.Repository, branch: str) -> None:
        """See `Forge.delete_branch`."""
        if check_branch(branch) == repository.default_branch:
            raise Invalid("The default branch cannot be deleted", details={"field": "branch"})
        if self.head(repository, branch) is None:
            return
        try:
            with self._locked(repository) as git:
                self._push(repository, git, f":refs/heads/{branch}", permissions=remote.WRITE)
        except remote.PushRejected as error:
            if self.head(repository, branch) is not None:
                raise remote.refusal_of(error) from error

    def mirror(self, repository: base.Repository) -> Path:
        """See `Forge.mirror`."""
        with self._reading(repository):
            return self._place(repository)

    def _unseen(self, repository: base.Repository, branch: str) -> OrchestratorError:
        """Return what it means that the host's API does not know a branch: it may be behind its own git."""
        if self.head(repository, branch) is None:
            return base.BranchNotFound(details={"branch": branch})
        return base.ForgeUnavailable("GitHub has not noticed the branch yet", details={"branch": branch})

    def _send(
        self,
        repository: base.Repository,
        git: Git,
        *,
        sha: str,
        branch: str,
        expected: str | None,
        permissions: Mapping[str, str],
    ) -> None:
        """Move a branch on the host if it still is where it was seen.

        Raises:
            BranchMoved: it is not.

        """
        lease = f"--force-with-lease=refs/heads/{branch}:{expected or ''}"
        try:
            self._push(repository, git, lease, f"{sha}:refs/heads/{branch}", permissions=permissions)
        except remote.PushRejected as error:
            found = self.head(repository, branch)
            if found == sha:
                return
            if found != expected:
                details = {"branch": branch, "expected": expected, "found": found}
                raise base.BranchMoved(details=details) from error
            raise remote.refusal_of(error) from error

    def _push(
        self, repository: base.Repository, git: Git, *arguments: str, permissions: Mapping[str, str]
    ) -> None:
        *options, ref = arguments
        command = ("push", "--no-verify", "--quiet", *options, "{url}", ref)
        self._git(
            repository, *command, permissions=permissions, local=git.repository, inherited=git.inherited
        )

    def _heads(self, repository: base.Repository, pattern: str) -> dict[str, str]:
        listing = self._git(repository, "ls-remote", "{url}", pattern, permissions=remote.READ).decode()
        pairs = (line.split("\t") for line in listing.splitlines() if "\t" in line)
        return {ref: sha for sha, ref in pairs}

    @override
    @contextlib.contextmanager
    def _reading(self, repository: base.Repository, *, sha: str | None = None) -> Iterator[Git]:
        with self._locked(repository) as git:
            if sha is None or not objects.has_commit(git, sha):
                self._fetch(repository, git)
            yield git

    def _fetch(self, repository: base.Repository, git: Git) -> None:
        self._git(
            repository,
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-write-fetch-head",
            "{url}",
            _EVERY_BRANCH,
            permissions=remote.READ,
            local=git.repository,
            inherited=git.inherited,
        )

    @contextlib.contextmanager
    def _locked(self, repository: base.Repository) -> Iterator[Git]:
        self._scope(repository, remote.READ)  # an id of the host's is safe as the name of a directory
        path = self._place(repository)
        try:
            if path.exists() and not _is_repository(path):
                shutil.rmtree(path)
            if not path.exists():
                self._mirrors.mkdir(mode=0o700, parents=True, exist_ok=True)
                local_store.create(path, _mirror_spec(repository))
        except OSError as error:
            raise base.ForgeUnavailable(f"The mirror cannot be made: {error.strerror}") from error
        with local_store.locked(path, timeout_seconds=_LOCK_SECONDS) as git:
            yield git

    def _place(self, repository: base.Repository) -> Path:
        return self._mirrors / f"{repository.id}.git"


def _mirror_spec(repository: base.Repository) -> base.RepositorySpec:
    return base.RepositorySpec(
        project_id="mirror", name=repository.name, default_branch=repository.default_branch
    )


def _is_repository(path: Path) -> bool:
    try:
        Git(repository=path).run("rev-parse", "--git-dir")
    except GitFailed:
        return False
    return True


def _check_complete(git: Git, sha: str) -> None:
    try:
        if objects.has_commit(git, sha):
            git.run("rev-list", "--objects", "--quiet", sha)
            return
    except GitFailed as error:
        raise base.CommitNotFound("The history of this commit is incomplete", details={"sha": sha}) from error
    raise base.CommitNotFound(details={"sha": sha})


def _descends(git: Git, sha: str, ancestor: str) -> bool:
    return objects.has_commit(git, ancestor) and objects.is_ancestor(git, ancestor, sha)


def permissions_of(git: Git, sha: str, *, known: frozenset[str]) -> Mapping[str, str]:
    """Return what putting a commit on the host needs.

    Args:
        git: in the repository that has the commit.
        sha: the commit.
        known: what the host has; of the others, one that changes a workflow needs a permission of its own.

    """
    before = [f"^{commit}" for commit in sorted(known) if objects.has_commit(git, commit)]
    touching = git.text("rev-list", "-1", sha, *before, "--", _WORKFLOWS)
    return remote.WRITE_WORKFLOWS if touching else remote.WRITE
