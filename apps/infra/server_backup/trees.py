"""Directories as archives, and the digest by which both are the same."""

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

_BLOCK = 1 << 20


class Hashing:
    """Reads a file and remembers the digest of what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        block = self._file.read(size)
        self.sha256.update(block)
        return block


def entries(root: Path, name: str) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Return a directory and all below it that can be archived, in one order everywhere."""
    # Not by recursion: a project may have more directories in each other than Python has frames.
    waiting = [(name, root)]
    while waiting:
        name, path = waiting.pop()
        seen = path.lstat()
        yield name, path, seen
        if stat.S_ISDIR(seen.st_mode):
            with os.scandir(path) as children:
                last_first = sorted(children, key=lambda each: os.fsencode(each.name), reverse=True)
            for child in last_first:
                if child.is_symlink() or child.is_dir() or child.is_file():
                    waiting.append((f"{name}/{child.name}", Path(child.path)))


def line(name: str, seen: os.stat_result, content: str) -> bytes:
    """Return what an entry adds to the digest of a tree."""
    words = (name, oct(seen.st_mode), str(seen.st_uid), str(seen.st_gid), content)
    return "\0".join(words).encode(errors="surrogateescape") + b"\n"


def digest_of(root: Path, name: str) -> bytes:
    """Return the lines of a tree that lies on this disk."""
    lines = []
    for each, path, seen in entries(root, name):
        content = ""
        if stat.S_ISLNK(seen.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(seen.st_mode):
            content = sha256_of(path)
        lines.append(line(each, seen, content))
    return b"".join(lines)


def sha256_of(path: Path) -> str:
    """Return the digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def pack(roots: Mapping[str, Path], file: BinaryIO) -> dict[str, Any]:
    """Write an archive; returns what was read of it."""
    tree, files = hashlib.sha256(), 0
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
        for prefix in sorted(roots):
            for name, path, seen in entries(roots[prefix], prefix):
                tree.update(line(name, seen, _add(tar, name, path, seen)))
                files += stat.S_ISREG(seen.st_mode)
    return {"roots": sorted(roots), "tree": tree.hexdigest(), "files": files}


def _add(tar: tarfile.TarFile, name: str, path: Path, seen: os.stat_result) -> str:
    info = tar.gettarinfo(path, name)
    if not stat.S_ISREG(seen.st_mode):
        tar.addfile(info)
        return info.linkname if info.issym() else ""
    # A file with two names is archived twice: each of them is restored by itself.
    info.type, info.linkname, info.size = tarfile.REGTYPE, "", seen.st_size
    with path.open("rb") as file:
        reader = Hashing(file)
        tar.addfile(info, cast(BinaryIO, reader))
    return reader.sha256.hexdigest()
