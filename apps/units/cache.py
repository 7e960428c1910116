"""The package cache as a unit may see it: fast to install from, impossible to poison for others.

As an ordinary user units share the cache itself, as they share everything else.

As root each unit gets a cache directory of its own: directories and the small
index files are its own, the unpacked packages are hard links to files that
belong to us and that it can therefore read but neither write nor chmod. The
kernel (``fs.protected_hardlinks``) keeps its installer from linking on, so
packages are copied into the environment, and ``UV_LINK_MODE`` says so.

Measured with uv 0.13 on ext4, two busy cores, fastapi + uvicorn + pytest +
httpx (26 MB, 1,137 files); median milliseconds of seven, index not asked again:

==========================================  =======  =======  ======
what the unit gets                          prepare  install  remove
==========================================  =======  =======  ======
a private copy (its uv hard-links)              326      126      51
hard links, own directories (its uv copies)      50      471     116
nothing (packages from a mirror nearby)           0     1296     203
the shared cache, read-only                 uv refuses to start: it must write
hard links of everything, index too         uv refuses to start: it must write
==========================================  =======  =======  ======

A copy costs 0.3 ms per file wherever it happens. Links put that cost into the
installation, where a unit that installs nothing never pays it, keep a start
fast, and do not grow with what the cache holds. Reflinks would make the copy
free, on file systems that have them; ext4 has none.
"""

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path

#: Unpacked packages: many files, never changed after they were put there.
_ARCHIVE_PREFIX = "archive-"


def prepare(cache: Path, target: Path, uid: int | None) -> dict[str, str]:
    """Give a unit a package cache and return the variables that make the installer use it.

    Args:
        cache: the shared cache, filled by trusted code only; made if missing.
        target: where the unit's own view goes; must not exist.
        uid: the unit's uid, or None to share the cache itself.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if uid is None:
        return {"UV_CACHE_DIR": str(cache)}
    _make(target, uid)
    # The archive last: an index entry that was copied always finds its package.
    for entry in sorted(os.scandir(cache), key=lambda found: found.name.startswith(_ARCHIVE_PREFIX)):
        is_archive = entry.name.startswith(_ARCHIVE_PREFIX)
        if entry.is_dir(follow_symlinks=False):
            _mirror(Path(entry.path), target / entry.name, uid, is_archive=is_archive)
    return {"UV_CACHE_DIR": str(target), "UV_LINK_MODE": "copy"}


def _mirror(source: Path, target: Path, uid: int, *, is_archive: bool) -> None:
    _make(target, uid)
    for entry in os.scandir(source):
        copy = target / entry.name
        with contextlib.suppress(FileNotFoundError):  # an installer at work removes its temporary files
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), copy)
                os.chown(copy, uid, uid, follow_symlinks=False)
            elif entry.is_dir():
                _mirror(Path(entry.path), copy, uid, is_archive=is_archive)
            elif not (is_archive and _is_shareable(entry.stat()) and _link(entry.path, copy)):
                shutil.copyfile(entry.path, copy)
                shutil.copymode(entry.path, copy)
                os.chown(copy, uid, uid)


def _make(directory: Path, uid: int) -> None:
    directory.mkdir(mode=0o700)
    os.chown(directory, uid, uid)


def _is_shareable(found: os.stat_result) -> bool:
    """Everybody may read it and nobody but us may write it."""
    return bool(found.st_mode & stat.S_IROTH) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _link(source: str, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM):
            return False
        raise
    return True
