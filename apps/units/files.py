"""Reading a file from a directory that an untrusted process can write."""

import contextlib
import os
import stat

from apps.units.spec import UnitFileNotFound, UnitFileRefused

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def read_beneath(root: str, path: str, *, limit_bytes: int, owner: int | None) -> bytes:
    """Return the content of a plain file below a directory, without following any link.

    Args:
        root: the directory, itself trusted.
        path: relative, ``/`` between its parts.
        limit_bytes: the largest file that is taken.
        owner: the uid that must own the file (a hard link to somebody else's file is refused), or None.

    Raises:
        UnitFileNotFound: there is no such file.
        UnitFileRefused: it is too large, behind a link, not a plain file, or somebody else's.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UnitFileRefused("path must be relative and plain", details={"path": path[:200]})
    with contextlib.ExitStack() as opened:
        try:
            at = _open(root, None, os.O_DIRECTORY, opened)
            for part in parts[:-1]:
                at = _open(part, at, os.O_DIRECTORY, opened)
            file = _open(parts[-1], at, 0, opened)
        except FileNotFoundError as error:
            raise UnitFileNotFound(details={"path": path[:200]}) from error
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UnitFileRefused(details={"path": path[:200], "reason": reason}) from error
        return _content(file, path, limit_bytes, owner)


def _open(name: str, at: int | None, flags: int, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(name, _FLAGS | flags, dir_fd=at)
    opened.callback(os.close, descriptor)
    return descriptor


def _content(file: int, path: str, limit_bytes: int, owner: int | None) -> bytes:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise UnitFileRefused("not a plain file", details={"path": path[:200]})
    if owner is not None and found.st_uid != owner:
        raise UnitFileRefused("the file is not the unit's own", details={"path": path[:200]})
    parts: list[bytes] = []
    room = limit_bytes + 1  # one more than allowed shows that there is more, even while it grows
    while room and (part := os.read(file, min(room, 1 << 20))):
        parts.append(part)
        room -= len(part)
    if not room:
        raise UnitFileRefused(f"larger than {limit_bytes} bytes", details={"path": path[:200]})
    return b"".join(parts)
