"""Reads and makes objects in bare repositories of ours: commits, trees, files. No refs are moved here."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from apps.errors import NotFound
from apps.projects.git import Git, GitFailed, GitLimitExceeded, GitLimits
from apps.projects.git_names import check_sha

#: The name under which the control plane makes commits.
_IDENTITY: Final = ("codegen-orchestrator", "orchestrator@localhost")


class ObjectNotFound(NotFound):
    """The repository has no such object."""

    code = "object_not_found"


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeEntry:
    """One file of a commit's tree."""

    mode: str  # six octal digits
    sha: str
    path: bytes  # as git has it: any bytes but NUL


def has_commit(git: Git, sha: str) -> bool:
    """Tell whether the repository holds this commit."""
    return (
        git.text("cat-file", "--batch-check", stdin=f"{check_sha(sha)}\n".encode()).split(" ")[1] == "commit"
    )


def is_ancestor(git: Git, ancestor: str, descendant: str) -> bool:
    """Tell whether a commit is another one or lies in its history."""
    answer = git.run(
        "merge-base", "--is-ancestor", check_sha(ancestor), check_sha(descendant), allowed_exits=(0, 1)
    )
    return answer.exit_code == 0


def branch_head(git: Git, branch: str) -> str | None:
    """Return the commit id of a branch, or None when it does not exist."""
    ref = f"refs/heads/{branch}"
    # Exits with 0 also when there is none; the pattern matches whatever lies below it, too.
    refs = git.text("for-each-ref", "--format=%(refname) %(objectname)", ref)
    heads = dict(line.split(" ") for line in refs.splitlines())
    return heads.get(ref)


def list_tree(git: Git, sha: str) -> Iterator[TreeEntry]:
    """Yield every file of a commit, also those in subdirectories.

    Raises:
        GitOutputTooLarge: the listing is longer than the limits of ``git``.

    """
    listing = git.run("ls-tree", "-r", "-z", "--full-tree", check_sha(sha)).output
    for line in listing.split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        mode, _, name = head.split(b" ")
        yield TreeEntry(mode=mode.decode(), sha=name.decode(), path=path)


def object_sizes(git: Git, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return kind and unpacked size in bytes of objects by their ids, without unpacking them.

    Raises:
        ObjectNotFound: one of them is missing.

    """
    asked = "".join(f"{name}\n" for name in names).encode()
    sizes = {}
    for line in git.text("cat-file", "--batch-check", stdin=asked).splitlines():
        name, kind, *size = line.split(" ")
        if not size:
            raise ObjectNotFound(details={"object": name})
        sizes[name] = (kind, int(size[0]))
    return sizes


def read_objects(git: Git, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield objects with their content; the caller has bounded their sizes.

    Raises:
        ObjectNotFound: one of them is missing.

    """
    asked = "".join(f"{name}\n" for name in names).encode()
    output = git.run("cat-file", "--batch", stdin=asked).output
    position = 0
    for name in names:
        end = output.index(b"\n", position)
        *_, size = output[position:end].split(b" ")
        if not size.isdigit():
            raise ObjectNotFound(details={"object": name})
        yield name, output[end + 1 : end + 1 + int(size)]
        position = end + 1 + int(size) + 1


def find_file(git: Git, sha: str, path: str) -> tuple[str, int] | None:
    """Return id and size in bytes of a regular file of a commit, or None when there is none of that path."""
    if not path or path.startswith("/") or ".." in path.split("/"):
        return None
    listing = git.run("ls-tree", "-z", "-l", "--full-tree", check_sha(sha), "--", path).output
    for line in listing.split(b"\0")[:-1]:
        head, _, found = line.partition(b"\t")
        mode, kind, name, size = head.split()
        if found == path.encode() and kind == b"blob" and mode != b"120000":
            return name.decode(), int(size)
    return None


def create_bare(path: Path, *, branch: str = "main", alternates: Path | None = None) -> Git:
    """Make an empty bare repository, optionally one that also sees the objects of another.

    Args:
        path: a directory that is absent or empty.
        branch: what HEAD will point to.
        alternates: a bare repository of ours to borrow objects from.

    """
    Git().run("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(path))
    if alternates is not None:
        borrowed = path / "objects" / "info" / "alternates"
        borrowed.parent.mkdir(exist_ok=True)
        borrowed.write_text(f"{alternates.resolve() / 'objects'}\n")
    return Git(repository=path)


def commit_tree(git: Git, *, tree: str, parents: Sequence[str], message: str, authored_at: datetime) -> str:
    """Make a commit object by the control plane; equal arguments give the identical commit.

    Returns:
        The id of the commit, which no branch points to yet.

    """
    name, email = _IDENTITY
    moment = f"{int(authored_at.astimezone(UTC).timestamp())} +0000"
    environment = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_AUTHOR_DATE": moment,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
        "GIT_COMMITTER_DATE": moment,
    }
    arguments = ["commit-tree", tree]
    for parent in parents:
        arguments += ["-p", check_sha(parent)]
    result = git.run(*arguments, stdin=message.encode(), environment=environment)
    return result.output.decode().strip()


def commit_directory(
    git: Git, directory: Path, *, message: str, authored_at: datetime, parents: Sequence[str] = ()
) -> str:
    """Make a commit of a directory's files (but the ignored ones); equal content gives the identical commit.

    Args:
        git: in the repository that takes the objects.
        directory: files that this application wrote, not an agent.
        message: of the commit.
        parents: ids of the commits it follows.
        authored_at: a moment that a repeat knows too, e.g. when the project was created.

    Returns:
        The id of the commit, which no branch points to yet.

    """
    with tempfile.TemporaryDirectory(prefix="index-", dir=git.repository) as scratch:
        environment = {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_WORK_TREE": str(directory.resolve())}
        place = ("-C", str(directory.resolve()))
        git.run(*place, "add", "--all", "--", ".", environment=environment)
        tree = git.run("write-tree", environment=environment).output.decode().strip()
    return commit_tree(git, tree=tree, parents=parents, message=message, authored_at=authored_at)


def copy_commit(source: Git, target: Git, *, sha: str, known: Sequence[str], limits: GitLimits) -> None:
    """Copy a commit and the history that is not known yet from one repository of ours into another.

    Args:
        source: in the repository that has the commit.
        target: in the repository that wants it.
        sha: the commit.
        known: commits of the target whose history need not be copied; those the source lacks are ignored.
        limits: for packing and unpacking.

    Raises:
        ObjectNotFound: the source lacks the commit or something it refers to.

    """
    shared = [name for name in known if has_commit(source, name)]
    wanted = "".join(f"{name}\n" for name in (sha, *(f"^{name}" for name in shared))).encode()
    with tempfile.TemporaryFile() as pack:
        packer = Git(repository=source.repository, limits=limits, durable=False)
        try:
            packer.run("pack-objects", "--revs", "--stdout", "--quiet", stdin=wanted, stdout=pack)
        except GitLimitExceeded:
            raise
        except GitFailed as error:
            raise ObjectNotFound(details={"object": sha}) from error
        pack.seek(0)
        unpacker = Git(repository=target.repository, limits=limits, inherited=target.inherited)
        unpacker.run("index-pack", "--stdin", "--strict", stdin=pack)
