"""The verbs of `Forge` that read a bare repository of this machine, whatever host stands behind it."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path

from apps.projects import objects
from apps.projects.bundle_write import BundleInfo, write_bundle
from apps.projects.forge import base, local_store
from apps.projects.git import Git
from apps.projects.git_names import check_branch, check_sha


class ReadingVerbs(ABC):
    """The same for every adapter that can say where to read."""

    @abstractmethod
    def _reading(self, repository: base.Repository, *, sha: str | None = None) -> AbstractContextManager[Git]:
        """Hold the repository as the host has it now.

        Args:
            repository: of ours.
            sha: the only commit that is wanted; an older state will do if it has it.

        """

    def find_merge(
        self, repository: base.Repository, request_id: str, *, branch: str | None = None
    ) -> base.MergeResult | None:
        """See `Forge.find_merge`."""
        base.check_request_id(request_id)
        return base.merge_of(self.list_merges(repository, branch=branch), request_id)

    def list_merges(
        self, repository: base.Repository, *, branch: str | None = None
    ) -> list[base.MergeResult]:
        """See `Forge.list_merges`."""
        with self._reading(repository) as git:
            head = objects.branch_head(git, check_branch(branch or repository.default_branch))
            return local_store.merges(git, head) if head is not None else []

    def export_bundle(self, repository: base.Repository, *, branch: str, destination: Path) -> BundleInfo:
        """See `Forge.export_bundle`."""
        with self._reading(repository) as git:
            if objects.branch_head(git, check_branch(branch)) is None:
                raise base.BranchNotFound(details={"branch": branch})
            refs = [f"refs/heads/{branch}"]
            if branch == repository.default_branch:
                refs.append("HEAD")  # lets a plain `git clone` of the file check the branch out
            return write_bundle(git, refs, destination)

    def read_file(self, repository: base.Repository, *, sha: str, path: str, limit: int) -> bytes:
        """See `Forge.read_file`."""
        with self._reading(repository, sha=check_sha(sha)) as git:
            if not objects.has_commit(git, sha):
                raise base.CommitNotFound(details={"sha": sha})
            found = objects.find_file(git, sha, path)
            if found is None:
                raise base.FileNotFound(details={"path": path})
            name, size = found
            if size > limit:
                raise base.FileOverLimit(details={"path": path, "size": size, "limit": limit})
            return git.run("cat-file", "blob", name).output
