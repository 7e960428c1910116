"""What every uid of this machine can get at: the place outside the checkouts, and copies of programs.

Standard library only, and imports nothing of ours: the set-up of a fresh machine uses it before any
package is installed.
"""

import compileall
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

#: Root's own state beside the checkouts; directories below it belong to one checkout each.
STATE_ROOT = Path("/var/lib/codegen-orchestrator")

#: A version that was not asked for so long is used by nobody any more.
_UNUSED_SECONDS = 7 * 24 * 3600.0

_BYTECODE = "__pycache__"


def reachable_by_others(path: Path) -> bool:
    """Tell whether every directory down to ``path`` may be traversed by an unrelated uid."""
    existing = (directory for directory in (path, *path.parents) if directory.exists())
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in existing)


def reachable_copy(source: Path, cache: Path) -> Path:
    """Return ``source`` itself, or a copy under ``cache`` when other uids could not reach it.

    Args:
        source: a directory of programs (never secrets: the copy is readable by everybody).
        cache: a directory that other uids can reach.
    """
    source = source.resolve()
    return source if reachable_by_others(source) else shared_copy(source, cache)


def shared_copy(source: Path, cache: Path) -> Path:
    """Return a copy of a directory that everybody can read; made anew only when the source has changed.

    Whoever uses an earlier version goes on with it: it stays for a week after its last use.

    Args:
        source: a directory of programs (never secrets). Bytecode is made here and not taken over.
        cache: a directory that other uids can reach. The copy is ``<cache>/<version>/<name of source>``,
            so a copied Python package is imported from the copy's parent.
    """
    target = cache / _version(source) / source.name
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o711)
    descriptor = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not target.exists():
            _make(source, target)
        os.utime(target.parent)
        _delete_unused(cache)
    finally:
        os.close(descriptor)
    return target


def _make(source: Path, target: Path) -> None:
    draft = target.parent.with_name(f".{target.parent.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    copy = draft / source.name
    shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(_BYTECODE))
    # Units may not write here: without bytecode each of their starts would compile everything again.
    compileall.compile_dir(copy, quiet=2, stripdir=str(draft), prependdir=str(target.parent))
    _open_to_others(draft)  # as a whole: Python lists the directory that it imports from
    draft.rename(target.parent)


def _delete_unused(cache: Path) -> None:
    for version in cache.iterdir():
        if version.is_dir() and version.stat().st_mtime < time.time() - _UNUSED_SECONDS:
            shutil.rmtree(version, ignore_errors=True)


def _version(tree: Path) -> str:
    digest = hashlib.sha256(str(tree).encode())
    for path in sorted(_sources(tree)):
        status = path.lstat()
        digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _sources(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if _BYTECODE not in path.parts and not path.is_dir())


def _open_to_others(tree: Path) -> None:
    # A strict umask at installation leaves programs that only their owner can read.
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))
