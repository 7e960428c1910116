"""The forge `local`: bare repositories in a directory of this machine."""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from typing_extensions import override

from apps.errors import Invalid
from apps.projects import objects
from apps.projects.forge import base, local_store
from apps.projects.forge.listing import ListedRepository
from apps.projects.forge.reading import ReadingVerbs
from apps.projects.git import DiskFull, Git, GitFailed, GitLimits
from apps.projects.git_names import check_branch, check_sha

_TRANSFER_LIMITS: Final = GitLimits(timeout_seconds=120, cpu_seconds=120)


class LocalForge(ReadingVerbs):
    """Bare repositories below one directory, each recording whose it is.

    Args:
        root: made with mode 0700 when the first repository is created. A root that
            is missing later means the forge cannot be asked, never that it is empty.
        lock_timeout_seconds: how long a change waits for another one of the same repository.

    """

    def __init__(self, root: Path, *, lock_timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._lock_timeout_seconds = lock_timeout_seconds

    def ensure_repository(self, spec: base.RepositorySpec) -> base.Repository:
        """See `Forge.ensure_repository`."""
        check_branch(spec.default_branch)
        path = self._path(spec.name)
        if spec.repository_id is not None:
            self._check_present(path)
        with _as_forge_errors():
            if not path.exists():
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                local_store.create(path, spec)
            recorded = local_store.identity(path)
        ours = recorded.get("projectid") == spec.project_id
        if not ours or (spec.repository_id or recorded["repositoryid"]) != recorded["repositoryid"]:
            raise base.RepositoryTaken(details={"repository": spec.name})
        return base.Repository(
            id=recorded["repositoryid"],
            name=spec.name,
            default_branch=recorded["defaultbranch"],
            url=path.as_uri(),
        )

    def list_repositories(self) -> Sequence[ListedRepository]:
        """See `Forge.list_repositories`; one that cannot be read spoils the listing."""
        if not self._root.is_dir():
            raise base.ForgeUnavailable("The forge's directory is missing")
        with _as_forge_errors():
            return [_listed(path) for path in sorted(self._root.glob("[!.]*.git"))]

    def head(self, repository: base.Repository, branch: str) -> str | None:
        """See `Forge.head`."""
        with self._reading(repository) as git:
            return objects.branch_head(git, check_branch(branch))

    def push(
        self, repository: base.Repository, *, source: Path, sha: str, branch: str, expected: str | None
    ) -> None:
        """See `Forge.push`."""
        check_sha(sha)
        with self._changing(repository) as git:
            current = objects.branch_head(git, check_branch(branch))
            if current == sha:
                return
            if current != expected:
                details = {"branch": branch, "expected": expected, "found": current}
                raise base.BranchMoved(details=details)
            local_store.store_commit(git, source=source, sha=sha, limits=_TRANSFER_LIMITS)
            if branch == repository.default_branch and current and not objects.is_ancestor(git, current, sha):
                raise base.BranchMoved("The default branch would lose commits", details={"branch": branch})
            local_store.move_branch(git, branch=branch, to=sha, expected=current)

    def merge(self, repository: base.Repository, spec: base.MergeSpec) -> base.MergeResult:
        """See `Forge.merge`."""
        base.check_request_id(spec.request_id)
        with self._changing(repository) as git:
            current = objects.branch_head(git, check_branch(spec.into))
            if current is None:
                raise base.BranchNotFound(details={"branch": spec.into})
            done = base.merge_of(local_store.merges(git, current), spec.request_id)
            if done is None:
                local_store.check_mergeable(git, spec, current)
                sha = local_store.make_merge_commit(git, spec)
                local_store.move_branch(git, branch=spec.into, to=sha, expected=current)
                head = objects.branch_head(git, spec.into) or current
                done = base.merge_of(local_store.merges(git, head), spec.request_id)
        if done is None:
            raise base.ForgeUnavailable("The merge cannot be read back", details={"request": spec.request_id})
        if done.source_sha != spec.source_sha:
            raise base.MergeRequestReused(details={"request": spec.request_id, "merged": done.source_sha})
        return done

    def delete_branch(self, repository: base.Repository, branch: str) -> None:
        """See `Forge.delete_branch`."""
        if check_branch(branch) == repository.default_branch:
            raise Invalid("The default branch cannot be deleted", details={"field": "branch"})
        with self._changing(repository) as git:
            if objects.branch_head(git, branch) is not None:
                git.run("update-ref", "-d", f"refs/heads/{branch}")

    def mirror(self, repository: base.Repository) -> Path:
        """See `Forge.mirror`: here the repository itself."""
        with self._reading(repository):
            return self._path(repository.name)

    def _path(self, name: str) -> Path:
        return self._root / f"{base.check_name(name)}.git"

    def _check_present(self, path: Path) -> None:
        if not self._root.is_dir():
            raise base.ForgeUnavailable("The forge's directory is missing")
        if not path.is_dir():
            raise base.RepositoryNotFound(details={"repository": path.stem})

    @override
    @contextlib.contextmanager
    def _reading(self, repository: base.Repository, *, sha: str | None = None) -> Iterator[Git]:
        path = self._path(repository.name)
        self._check_present(path)
        with _as_forge_errors():
            if local_store.identity(path).get("repositoryid") != repository.id:
                raise base.RepositoryTaken(details={"repository": repository.name})
            yield Git(repository=path)

    @contextlib.contextmanager
    def _changing(self, repository: base.Repository) -> Iterator[Git]:
        with (
            self._reading(repository),
            local_store.locked(
                self._path(repository.name), timeout_seconds=self._lock_timeout_seconds
            ) as git,
        ):
            yield git


def _listed(path: Path) -> ListedRepository:
    recorded = local_store.identity(path)
    return ListedRepository(
        # What somebody else put there has no id of ours.
        id=recorded.get("repositoryid") or f"path:{path.stem}",
        name=path.stem,
        url=path.as_uri(),
        project_id=recorded.get("projectid"),
    )


@contextlib.contextmanager
def _as_forge_errors() -> Iterator[None]:
    try:
        yield
    except GitFailed as error:
        raise base.ForgeUnavailable(f"The repository does not answer: {error.message}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from error
        raise base.ForgeUnavailable(f"The forge's directory refused: {error.strerror}") from error
