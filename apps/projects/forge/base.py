"""The port to the git host: what the control plane asks of it, and the ways it can fail."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from apps.errors import Conflict, Invalid, NotFound, Unavailable
from apps.projects.bundle_write import BundleInfo
from apps.projects.forge.listing import ListedRepository

#: The last line of a merge commit's message; what makes a repeated merge recognisable.
MERGE_TRAILER: Final = "Merge-Request"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


class ForgeUnavailable(Unavailable):
    """The git host does not answer."""

    code = "forge_unavailable"


class RepositoryNotFound(NotFound):
    """The repository is not at its git host any more: restore it there, or begin a new project."""

    code = "repository_not_found"


class BranchNotFound(NotFound):
    """There is no such branch."""

    code = "branch_not_found"


class CommitNotFound(NotFound):
    """There is no such commit in this repository."""

    code = "commit_not_found"


class FileNotFound(NotFound):
    """There is no such file in this commit."""

    code = "file_not_found"


class FileOverLimit(Invalid):
    """The file is larger than its reader allows."""

    code = "file_over_limit"


class RepositoryTaken(Conflict):
    """A repository of this name is not ours: rename or remove it at the git host, then try again."""

    code = "repository_taken"


class BranchMoved(Conflict):
    """The branch is not where the caller saw it."""

    code = "branch_moved"


class BaseMoved(BranchMoved):
    """The target branch has moved on: what was verified is no longer what a merge would give."""

    code = "base_moved"


class MergeConflict(Conflict):
    """The commit does not contain the branch it should be merged into."""

    code = "merge_conflict"


class MergeRequestReused(Conflict):
    """The merge request id has already merged another commit."""

    code = "merge_request_reused"


class NothingToMerge(Invalid):
    """The commit is already the head of the branch."""

    code = "nothing_to_merge"


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositorySpec:
    """The repository a project wants."""

    project_id: str  # whose it is; recorded in the repository when it is created
    name: str  # the project's slug: immutable
    description: str = ""
    default_branch: str = "main"
    repository_id: str | None = None  # the id our records hold, once there is one


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A repository that exists."""

    id: str  # given by the host, never reused; a name alone proves nothing
    name: str
    default_branch: str
    url: str  # for people and for `git clone`; carries no credential


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSpec:
    """What to merge, how it was when it was verified, and under which name."""

    request_id: str  # the same id is the same merge, however often it is asked for
    source_sha: str  # the verified commit; already pushed on some branch
    into: str
    expected_base: str  # the head of `into` that the verified commit was built on
    message: str
    authored_at: datetime  # of the request, not of the attempt: a repeat gives the identical commit
    pull_request: int | None = None  # merge through it, as a protected branch demands


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeResult:
    """A merge that is on its branch."""

    request_id: str
    sha: str
    base_sha: str
    source_sha: str


class Forge(Protocol):
    """Repositories of ours on one git host.

    Order: `ensure_repository` first; every other verb but the listing takes the
    Repository it returned. A commit is pushed on a branch of its own before it is merged.

    Idempotency: every verb may be repeated after any failure, also by another
    process, and a crash inside a verb leaves nothing that a repeat does not
    adopt. Pushing what is there, merging a merged request and deleting an
    absent branch succeed without doing anything.

    Concurrency: any number of callers; changes of a branch are compare-and-set.
    Of two callers merging one request, one merges and both get that merge.

    Raises:
        ForgeUnavailable: from any verb, when the host cannot be asked. It says
            nothing about what is there.
        RepositoryNotFound: from any verb on a repository, when it is gone.
        RepositoryTaken: from any verb on a repository, when another one has taken its name.

    """

    def ensure_repository(self, spec: RepositorySpec) -> Repository:
        """Create the repository, or adopt the one that was made for this project.

        Raises:
            RepositoryTaken: the name belongs to another project or to a stranger.
            RepositoryNotFound: our records name a repository that is gone; an empty
                one is not made in its place.

        """

    def list_repositories(self) -> Sequence[ListedRepository]:
        """Return every repository of the host that we can reach, or raise: never a part of them."""

    def head(self, repository: Repository, branch: str) -> str | None:
        """Return the commit id a branch points to, or None when the host says there is no such branch."""

    def push(
        self, repository: Repository, *, source: Path, sha: str, branch: str, expected: str | None
    ) -> None:
        """Move a branch to a commit of a bare repository of ours on this machine.

        Args:
            repository: where the branch is.
            source: the bare repository that holds the commit and its history.
            sha: the commit.
            branch: its name without ``refs/heads/``.
            expected: where the branch is now; None when it must not exist yet.

        Raises:
            BranchMoved: the branch is elsewhere, or the default branch would lose commits.
            CommitNotFound: the source does not hold the commit or a part of it.

        """

    def merge(self, repository: Repository, spec: MergeSpec) -> MergeResult:
        """Put a verified commit onto a branch with a merge commit that has exactly its tree.

        Raises:
            BaseMoved: the branch is not at ``expected_base``; verify again on the new base.
            MergeConflict: the commit does not contain the base, so no merge has its tree.
            MergeRequestReused: this id has merged another commit.
            NothingToMerge: the commit is the base.
            CommitNotFound: the commit was not pushed.
            BranchNotFound: there is no branch to merge into.

        """

    def find_merge(
        self, repository: Repository, request_id: str, *, branch: str | None = None
    ) -> MergeResult | None:
        """Return the merge of a request on a branch (the default one if not named), or None."""

    def list_merges(self, repository: Repository, *, branch: str | None = None) -> list[MergeResult]:
        """Return the merges on a branch (the default one if not named), oldest first."""

    def export_bundle(self, repository: Repository, *, branch: str, destination: Path) -> BundleInfo:
        """Write a branch with its whole history into a file; the file appears complete or not at all.

        Raises:
            BranchNotFound: there is no such branch.

        """

    def read_file(self, repository: Repository, *, sha: str, path: str, limit: int) -> bytes:
        """Return a file of a commit.

        Args:
            repository: where the commit is.
            sha: the commit.
            path: from the root, with ``/``.
            limit: the largest acceptable size in bytes.

        Raises:
            CommitNotFound: there is no such commit.
            FileNotFound: the commit has no regular file of that path.
            FileOverLimit: it is larger than the limit.

        """

    def delete_branch(self, repository: Repository, branch: str) -> None:
        """Delete a branch; an absent one is success.

        Raises:
            Invalid: it is the default branch.

        """

    def mirror(self, repository: Repository) -> Path:
        """Return a bare repository on this machine that holds what the host holds now, to be read only."""


def check_name(name: str) -> str:
    """Return a repository name that is safe as a directory name, or refuse it.

    Raises:
        Invalid: it is not made of lower-case words joined by hyphens, or is over 100 characters.

    """
    if len(name) > 100 or not _NAME.fullmatch(name):
        raise Invalid("This is not a usable repository name", code="bad_name", details={"field": "name"})
    return name


def check_request_id(request_id: str) -> str:
    """Return a merge request id that is safe as a trailer, or refuse it.

    Raises:
        Invalid: it has other characters than letters, digits and ``._:-``, or is over 100 of them.

    """
    if not _REQUEST_ID.fullmatch(request_id):
        raise Invalid("This is not a usable merge request id", code="bad_request_id")
    return request_id


def merge_message(message: str, request_id: str) -> str:
    """Return the message of a merge commit: bounded, without control characters, the trailer last."""
    printable = "".join(c for c in message if c == "\n" or c.isprintable())
    lines = [line.rstrip() for line in printable.strip()[:5_000].splitlines()]
    return "\n".join([*(lines or ["Merge"]), "", f"{MERGE_TRAILER}: {check_request_id(request_id)}", ""])


def request_of(message: str) -> str | None:
    """Return the merge request id that ends a commit message, or None."""
    last = message.rstrip().rsplit("\n", 1)[-1]
    name, _, value = last.partition(": ")
    return value if name == MERGE_TRAILER and _REQUEST_ID.fullmatch(value) else None


def merge_of(merges: Iterable[MergeResult], request_id: str) -> MergeResult | None:
    """Return the merge of a request among those of a branch, or None."""
    return next((merge for merge in merges if merge.request_id == request_id), None)
