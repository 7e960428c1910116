"""The directory of tools on a unit's PATH: ``uv``, ``python3`` and the ``orchestrator`` command."""

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.units.accounts import UID_RANGE
from apps.units.reach import first_closed, is_executable
from apps.units.shared import shared_copy
from apps.units.spec import UnitsUnavailable

#: What of ours runs in a unit. It is copied: the checkout may be closed to units (root's home), may change
#: while a worker runs, and holds more than a unit should see.
_PACKAGE = Path(__file__).resolve().parents[2] / "worker_image"
_SYSTEM = (Path("/usr/local/bin"), Path("/usr/bin"), Path("/bin"))

#: Newest first does not matter to a project; the one we run on is what we have tested.
_MINORS = range(11, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """Where a unit finds its tools.

    Attributes:
        directory: first on the PATH; holds ``uv``, ``python3``, ``python``, ``orchestrator`` and
            ``orchestrator-worker``.
        python: the interpreter with this system's own packages, for our own code in a unit (the wrapper).
        sources: what such code needs on its ``PYTHONPATH``: our package for workers as it was when prepared.
        extra: directories of the operator's own tools, searched after ours and before the system's.
    """

    directory: Path
    python: Path
    sources: Path
    extra: tuple[str, ...] = ()


def prepare(directory: Path, *, extra: Sequence[str] = ()) -> Toolchain:
    """Make the directory of tools, or repair the one that is there.

    Args:
        directory: for example ``var/tools``; our own code is put into ``runtime`` beside it.
        extra: directories of the operator's own tools, for example where coding agents are installed.

    Raises:
        UnitsUnavailable: a unit could not run one of the tools; the message holds the exact repair.
    """
    uid = UID_RANGE.start if os.geteuid() == 0 else os.getuid()
    own = Path(sys.executable)
    if not is_executable(own, uid):
        raise UnitsUnavailable(f"units cannot run {own}; {_repair(own, uid)}")
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    closed = first_closed(directory, uid)
    if closed is not None:
        raise UnitsUnavailable(f"units cannot pass {closed}; run: chmod o+x {shlex.quote(str(closed))}")
    python = _find_python(uid)
    _link(directory / "uv", _find_uv(uid))
    _link(directory / "python3", python)
    _link(directory / "python", python)
    sources = shared_copy(_PACKAGE, directory.absolute().parent / "runtime").parent
    for command, module in _COMMANDS.items():
        script = _SCRIPT.format(sources=_quoted(sources), python=_quoted(own), module=module)
        _write(directory / command, script)
    return Toolchain(directory=directory, python=own, sources=sources, extra=tuple(extra))


#: Our own programs, by the name under which every runtime offers them.
_COMMANDS = {"orchestrator": "worker_image.cli", "orchestrator-worker": "worker_image.worker_wrapper"}

#: -P: what lies in the working directory is an agent's, and no module of ours.
_SCRIPT = """\
#!/bin/sh
PYTHONPATH={sources} exec {python} -P -m {module} "$@"
"""


def _find_python(uid: int) -> Path:
    """Return an interpreter for projects: the one beneath our own environment, or one of the system's."""
    base = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    names = [directory / f"python3.{minor}" for directory in _SYSTEM for minor in _MINORS]
    for candidate in (base, *names):
        if is_executable(candidate, uid):
            return candidate
    raise UnitsUnavailable(
        f"no Python 3.11 or newer that units can run; install one for all users, or {_repair(base, uid)}"
    )


def _find_uv(uid: int) -> Path:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UnitsUnavailable("uv is not installed; run: make setup")
    uv = Path(found)
    if not is_executable(uv, uid):
        raise UnitsUnavailable(f"units cannot run {uv}; {_repair(uv, uid)}")
    return uv


def _repair(file: Path, uid: int) -> str:
    """Return the command that lets a uid run a file it cannot run now."""
    real = Path(os.path.realpath(file))
    closed = [
        directory
        for directory in {*real.parents, *file.absolute().parents}
        if directory.is_dir() and first_closed(directory, uid) == directory
    ]
    if closed:
        return f"run: chmod o+x {' '.join(shlex.quote(str(directory)) for directory in sorted(closed))}"
    if not real.exists():
        return "run: make setup"
    return f"run: chmod o+rx {shlex.quote(str(real))}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink() or os.readlink(link) != str(target):
        _replace(link, lambda temporary: temporary.symlink_to(target))


def _write(file: Path, content: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(content)
        temporary.chmod(0o755)

    if not file.is_file() or file.read_text() != content:
        _replace(file, write)


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    """Put a new file in place at once: another process may be running the old one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    make(temporary)
    temporary.rename(path)
