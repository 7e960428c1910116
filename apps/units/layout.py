"""The files of a unit's directory, and the three facts they tell.

A held lock means alive, ``exit.json`` means finished, ``process.json`` without
either means that nobody knows how it ended. Standard library only and cheap to
import: the shim uses this module too.

There are two locks. ``lock`` travels from the starter through the shim into the
unit's own process, so there is no instant at which a living unit holds none.
``shim.lock`` stays with the shim: an untrusted process may unlock what it has
inherited, and must not look dead by doing so.
"""

import fcntl
import json
import os

#: Below the root: one directory per unit, and the removed ones until they are deleted.
UNITS = "units"
TRASH = "trash"

#: Below a unit's directory.
LOCK = "lock"
SHIM_LOCK = "shim.lock"
SPEC = "spec.json"
PROCESS = "process.json"
EXIT = "exit.json"
ANNOUNCED = "announced"
SHIM_ERRORS = "shim.err"
LOG_HEAD = "log.head"
LOG_PREVIOUS = "log.previous"
LOG_TAIL = "log.tail"
LOG_OMITTED = "log.omitted"
INPUT = "input"
WORK = "work"
HOME = "home"
TMP = "tmp"
CACHE = "cache"

#: The variable by which a stray process is recognised as part of a unit.
COOKIE = "ORCHESTRATOR_UNIT"

#: What is kept in these files: short words and numbers.
Document = dict[str, object]


def write_json(directory: str, name: str, content: Document) -> None:
    """Replace a file as a whole, so that a reader sees the old one or the new one, even after a crash."""
    path = os.path.join(directory, name)
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(content).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, path)
    sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Make a rename in this directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(directory: str, name: str) -> Document | None:
    """Return what ``write_json`` stored, or None if there is no such file."""
    try:
        with open(os.path.join(directory, name), "rb") as file:
            content: Document = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content


def try_lock(directory: str, name: str) -> int | None:
    """Take a lock of this directory without waiting; the descriptor is the lock, None means it is held.

    Raises:
        FileNotFoundError: the directory is gone.
    """
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine, there = os.fstat(descriptor), os.stat(path)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
        # The directory was removed and made again between open and flock.
        os.close(descriptor)
        return None
    return descriptor


def is_locked(directory: str, name: str) -> bool:
    """Say whether somebody holds a lock of this directory; an absent file is not held."""
    try:
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
