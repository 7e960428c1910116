"""Judges paths, file types and links of an untrusted tree before anything is checked out; pure."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from apps.projects.bundle_errors import UnsafePath

_MAX_PATH_BYTES: Final = 1_000
_MAX_COMPONENT_BYTES: Final = 250
_MAX_DEPTH: Final = 50
_MODES: Final = frozenset({"100644", "100755", "120000"})
SYMLINK: Final = "120000"
GITLINK: Final = "160000"
#: Code points that some file systems ignore in names.
_IGNORED: Final = dict.fromkeys(
    [0x00AD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)


def check_path(path: bytes, mode: str) -> str:
    """Return a path as text if it is safe to write, whatever the file system.

    Raises:
        UnsafePath: the type is not a plain file or link, or the path could leave the checkout,
            be taken for git's own files, or not be stored.

    """
    text = path.decode("utf-8", "replace")
    if mode == GITLINK:
        raise _refusal("The commit refers to another repository", text, "gitlink")
    if mode not in _MODES:
        raise _refusal("The commit has a file of an unknown type", text, "mode")
    if text.encode() != path or not text.isprintable() or "\\" in text:
        raise _refusal("A path has characters that are not allowed", text, "characters")
    parts = text.split("/")
    longest = max(len(part.encode()) for part in parts)
    if len(path) > _MAX_PATH_BYTES or longest > _MAX_COMPONENT_BYTES or len(parts) > _MAX_DEPTH:
        raise _refusal("A path is too long", text, "length")
    for part in parts:
        if part in ("", ".", ".."):
            raise _refusal("A path leaves the project", text, "traversal")
        if _is_git_directory(part):
            raise _refusal("A path could be taken for git's own directory", text, "git_directory")
    return text


def check_collisions(paths: Iterable[str]) -> None:
    """Refuse names that would be one file where letters' case or composition does not count.

    Raises:
        UnsafePath: two names of the tree collide.

    """
    seen: dict[str, str] = {}
    known: set[str] = set()
    for path in paths:
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            name = "/".join(parts[:count])
            if name in known:
                continue
            known.add(name)
            other = seen.setdefault(_folded(name), name)
            if other != name:
                raise _refusal("Two names differ only in their letters' case", name, "case_collision")


def check_link(path: str, target: bytes) -> None:
    """Refuse a symbolic link that does not stay inside the project.

    ``..`` is accepted only at the beginning, where it walks real directories of
    the tree: after a name it could start from another link's target.

    Raises:
        UnsafePath: the target is absolute, leaves the project, or reaches git's directory.

    """
    text = target.decode("utf-8", "replace")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    absolute = text.startswith("/") or not text or not text.isprintable() or "\\" in text
    outside = climbs > path.count("/") or ".." in parts[climbs:]
    if absolute or outside or any(_is_git_directory(part) for part in parts):
        raise _refusal("A symbolic link leaves the project", path, "symlink")


def _is_git_directory(part: str) -> bool:
    folded = unicodedata.normalize("NFKC", part.translate(_IGNORED)).casefold()
    # Windows drops trailing dots and spaces, and reads what follows a colon as a stream.
    plain = folded.split(":", 1)[0].rstrip(". ")
    return plain == ".git" or (plain.startswith("git~") and plain[4:].isdigit())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _refusal(message: str, path: str, rule: str) -> UnsafePath:
    shown = "".join(c if c.isprintable() else "?" for c in path)[:300]
    return UnsafePath(message, details={"file": shown, "rule": rule})
