"""Whether another uid can get at a path, and the exact repair if it cannot."""

import os
import stat
from pathlib import Path

from apps.units.spec import UnitsUnavailable


def first_closed(path: Path, uid: int) -> Path | None:
    """Return the first directory on the way to a path that a uid may not pass, or None.

    Only the permission bits are read; an access list may allow more than this sees.
    """
    for directory in (*reversed(path.parents), path):
        if directory.is_dir() and not _may(directory, uid, stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH):
            return directory
    return None


def is_executable(path: Path, uid: int) -> bool:
    """Say whether a uid can run this file: its real path may be passed and its mode allows it."""
    real = Path(os.path.realpath(path))
    if not real.is_file() or first_closed(real.parent, uid) or first_closed(path.absolute().parent, uid):
        return False
    return _may(real, uid, stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)


def require_reachable(path: Path, uid: int) -> None:
    """Do nothing if a uid can pass every directory down to a path.

    Raises:
        UnitsUnavailable: naming the directory and the command that opens it.
    """
    closed = first_closed(path, uid)
    if closed is not None:
        repair = f"chmod o+x {closed}"
        raise UnitsUnavailable(f"units cannot pass {closed}; run: {repair}", details={"path": str(closed)})


def _may(path: Path, uid: int, owner_bit: int, group_bit: int, other_bit: int) -> bool:
    found = path.stat()
    if found.st_uid == uid:
        return bool(found.st_mode & owner_bit)
    if found.st_gid == uid:
        return bool(found.st_mode & group_bit)
    return bool(found.st_mode & other_bit)
