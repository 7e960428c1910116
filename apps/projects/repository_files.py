"""Reads text files of a commit for whoever wants to know what a project says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apps.projects import objects
from apps.projects.forge.base import CommitNotFound
from apps.projects.git import Git, GitLimits
from apps.projects.models import Project
from apps.projects.tools import Tools
from apps.projects.workspace import known_repository

_REGULAR: Final = ("100644", "100755")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A regular file whose content is UTF-8."""

    path: str
    blob_sha: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileLimits:
    """How much is read of one commit."""

    files: int
    file_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read, and how many wanted files were not."""

    files: tuple[TextFile, ...]
    left_out: int


def read_texts(
    project: Project, *, sha: str, wanted: Callable[[str], bool], limits: FileLimits, tools: Tools
) -> Reading:
    """Read the text files of a commit whose paths are wanted, the shallowest and then the first by name.

    Args:
        project: whose repository it is.
        sha: a commit of its default branch.
        wanted: asked for each path.
        limits: what is beyond them is left out and counted, as is what is no text.
        tools: the forge.

    Raises:
        CommitNotFound: the git host does not have the commit.
        ForgeUnavailable: it does not answer.
        RepositoryNotFound: the repository is gone.

    """
    bounds = GitLimits(output_bytes=limits.total_bytes + 16 * 1_048_576)
    git = Git(repository=tools.forge.mirror(known_repository(project)), limits=bounds)
    if not objects.has_commit(git, sha):
        raise CommitNotFound(details={"sha": sha})
    paths = {
        path: entry.sha
        for entry in objects.list_tree(git, sha)
        if entry.mode in _REGULAR and (path := entry.path.decode(errors="replace")) and wanted(path)
    }
    chosen = _within(git, paths, limits)
    contents = dict(objects.read_objects(git, sorted({paths[path] for path in chosen})))
    read = [_text_file(path, paths[path], contents[paths[path]]) for path in chosen]
    files = tuple(file for file in read if file is not None)
    return Reading(files=files, left_out=len(paths) - len(files))


def _within(git: Git, paths: dict[str, str], limits: FileLimits) -> list[str]:
    sizes = objects.object_sizes(git, sorted(set(paths.values())))
    left = limits.total_bytes
    chosen: list[str] = []
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        size = sizes[paths[path]][1]
        if size <= min(limits.file_bytes, left) and len(chosen) < limits.files:
            chosen.append(path)
            left -= size
    return chosen


def _text_file(path: str, blob_sha: str, content: bytes) -> TextFile | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    # PostgreSQL's text has no NUL, and no text has one.
    return None if "\0" in text or "\ufffd" in path else TextFile(path=path, blob_sha=blob_sha, text=text)
