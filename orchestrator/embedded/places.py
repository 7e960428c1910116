"""Where the embedded servers keep their files, and who may read them.

Standard library only: the set-up of a fresh machine runs this file before any package is installed.

As an ordinary user everything is ours and 0700. As root the servers run under unprivileged uids, which
must be able to traverse every directory above their own. No parent directory is ever loosened for that:
a state directory that those uids cannot reach (a repository in root's 0700 home) is moved to a reachable
one and leaves a symlink.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from apps.units.shared import STATE_ROOT, reachable_by_others


def prepare_var_dir(var_dir: Path, *, state_root: Path = STATE_ROOT) -> Path:
    """Create the state directory with the right mode and return its resolved path.

    Args:
        var_dir: the wanted place, usually ``<repository>/var``.
        state_root: where to go instead when root's unprivileged children could not reach ``var_dir``.

    Raises:
        OSError: neither place can be written.

    """
    as_root = os.geteuid() == 0
    resolved = var_dir.resolve()
    if as_root and not reachable_by_others(resolved.parent):
        resolved = _relocate(var_dir.absolute(), state_root)
    resolved.mkdir(parents=True, exist_ok=True)
    resolved.chmod(0o711 if as_root else 0o700)
    return resolved


def _relocate(var_dir: Path, state_root: Path) -> Path:
    target = state_root / hashlib.sha256(str(var_dir).encode()).hexdigest()[:16]
    state_root.mkdir(parents=True, exist_ok=True)
    state_root.chmod(0o711)
    if var_dir.is_symlink():
        var_dir.unlink()
    elif var_dir.is_dir() and not target.exists():
        shutil.move(var_dir, target)
    elif var_dir.is_dir():
        # Both exist only when the link was replaced by a directory after the move; keep what was put there.
        shutil.copytree(var_dir, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(var_dir)
    target.mkdir(mode=0o711, exist_ok=True)
    var_dir.parent.mkdir(parents=True, exist_ok=True)
    var_dir.symlink_to(target)
    return target


def private_dir(path: Path, *, uid: int | None = None) -> Path:
    """Create (or correct) a 0700 directory of ``uid`` (default: ours) and return it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    if uid is not None and path.stat().st_uid != uid:
        os.chown(path, uid, uid)
    return path


def write_private(path: Path, text: str, *, uid: int | None = None) -> None:
    """Replace a file by ``text`` in one step, readable by its owner only, from the first byte on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
        if uid is not None:
            os.fchown(stream.fileno(), uid, uid)
    temporary.replace(path)
