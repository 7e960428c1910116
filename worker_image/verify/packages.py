"""The installers' cache that trusted code filled, as a view of its own for one verification.

It lies beside a container, read-only, where ``PACKAGE_CACHE`` says; the installer must write into its cache.
So it gets directories and index files of its own, and in the place of every packed-out file a link to it.

In memory that takes 20 ms, on a disk 600 ms (2,600 links), as long as the installation itself; but what is
not in the cache would be downloaded into memory, too. Hence memory only for what needs nothing else.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VARIABLE: Final = "PACKAGE_CACHE"
_ARCHIVE: Final = "archive-"
_WHEELS: Final = "wheels-"
#: A pin with a condition is mostly one of another platform.
_PIN: Final = re.compile(rb"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)[ \\]*\r?$", re.MULTILINE)
_SEPARATORS: Final = re.compile(r"[-_.]+")
_MAX_LIST_BYTES: Final = 1024 * 1024
_MAX_LISTS: Final = 50


class PackageCache:
    """The views of one verification; each is made when it is first wanted.

    Args:
        source: the trusted cache; None: there is none.
        memory: a directory in memory.
        disk: the home directory.
    """

    def __init__(self, source: Path | None, *, memory: Path, disk: Path) -> None:
        self._source = source if source is not None and source.is_dir() else None
        self._memory = memory / "package-cache"
        self._disk = disk / ".cache" / "uv"
        self._views: dict[Path, dict[str, str]] = {}

    def variables_for(self, project: Path) -> dict[str, str]:
        """Return the variables that make the installer use the view which suits a project."""
        if self._source is None:
            return {}
        known = _known(self._source)
        target = self._memory if all(pin in known for pin in _pins(project)) else self._disk
        if target not in self._views:
            self._views[target] = {"UV_CACHE_DIR": str(target)}
            try:
                _view(self._source, target)
            except OSError:
                # It only saves time. What is half made is worse than nothing.
                shutil.rmtree(target, ignore_errors=True)
                self._views[target] = {}
        return self._views[target]


def _view(source: Path, target: Path, *, is_archive: bool = False) -> None:
    target.mkdir(parents=not is_archive, exist_ok=True)
    for entry in os.scandir(source):
        copy = target / entry.name
        if entry.is_symlink():
            copy.symlink_to(os.readlink(entry.path))
        elif entry.is_dir():
            _view(Path(entry.path), copy, is_archive=is_archive or entry.name.startswith(_ARCHIVE))
        elif not os.access(entry.path, os.R_OK):
            raise PermissionError(entry.path)
        elif is_archive:
            copy.symlink_to(entry.path)
        else:
            shutil.copyfile(entry.path, copy)


def _known(cache: Path) -> set[tuple[str, str]]:
    """Return name and version of every package that is packed out in a cache."""
    found = set()
    for wheels in cache.glob(f"{_WHEELS}*"):
        for link in wheels.glob("**/*"):
            if link.is_symlink():
                found.add((link.parent.name, link.name.partition("-")[0]))
    return found


def _pins(project: Path) -> Iterator[tuple[str, str]]:
    """Yield what a project's lists of packages pin; they are a stranger's."""
    directories = [found for found in (project, project / "requirements") if not found.is_symlink()]
    lists = [path for directory in directories for path in sorted(directory.glob("*.txt"))]
    for path in lists[:_MAX_LISTS]:
        for name, version in _PIN.findall(_read(path)):
            yield _SEPARATORS.sub("-", name.decode()).lower(), version.decode()


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, _MAX_LIST_BYTES) if is_file else b""
    finally:
        os.close(descriptor)
