"""``Units``: every verb there is for the units of one directory."""

import os
import signal
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apps.units import boundedlog, launch, layout, leftovers, processes, turns
from apps.units.accounts import UID_RANGE, Accounts
from apps.units.files import read_beneath
from apps.units.reach import require_reachable
from apps.units.spec import UnitNotFound, UnitPhase, UnitSpec, UnitState, UnitsUnavailable, check_name

#: How long a shim is given to kill its unit before we do it ourselves.
_SHIM_SECONDS = 5.0


class Units:
    """The units below one directory, for any number of processes at once.

    Nothing is kept in memory: each call looks at the directory, so whoever
    dies between two calls leaves nothing that another process cannot go on with.

    Args:
        root: where the units live; made if missing.
        cache: the shared package cache (``UnitSpec.cache``); by default ``cache`` beside the units.
        uids: the range from which accounts get their uid when we are root.

    Attributes:
        root: as given, absolute.
        directory: holds one directory per unit, named like it.
    """

    def __init__(self, root: Path, *, cache: Path | None = None, uids: range = UID_RANGE) -> None:
        self.root = root.absolute()
        self._cache = (cache or self.root.parent / "cache" / "uv").absolute()
        self.directory = self.root / layout.UNITS
        self._trash = self.root / layout.TRASH
        mode = 0o711 if os.geteuid() == 0 else 0o700
        for directory in (self.root, self.directory):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(mode)
        self._trash.mkdir(mode=0o700, exist_ok=True)
        self._accounts = Accounts(self.root, uids)

    def start(self, spec: UnitSpec) -> None:
        """Start a unit, or adopt the one of that name whatever became of it.

        When this returns the command runs (or has already ended: a command
        that does not exist is an exit code 127 with the reason in the log).
        Two simultaneous starts make one process. Safe to repeat after any
        error and after the death of an earlier starter at any point.

        Raises:
            UnitInvalid: an input or the work directory does not exist.
            UnitsUnavailable: the machine refuses (processes, disk, unreachable directory).
        """
        directory = self.directory / spec.name
        locks = turns.take(directory, until=lambda: (directory / layout.PROCESS).exists())
        if locks is None:
            return
        try:
            uid = None if spec.is_ours else self._accounts.uid_for(spec.account or spec.name)
            if uid is not None:
                require_reachable(self.directory if spec.workdir is None else spec.workdir.absolute(), uid)
            launch.hand_over(launch.prepare(directory, spec, uid, self._cache), spec.name, locks)
        except OSError as error:
            raise UnitsUnavailable(f"cannot prepare unit {spec.name}: {error}") from error
        finally:
            turns.release(locks)

    def inspect(self, name: str) -> UnitState | None:
        """Observe a unit; None means that no command of that name was ever started (or it was removed)."""
        directory = str(self.directory / check_name(name))
        process = layout.read_json(directory, layout.PROCESS)
        if process is None:
            return None
        end = layout.read_json(directory, layout.EXIT)
        phase = UnitPhase.EXITED
        if end is None:
            phase = UnitPhase.RUNNING if _is_alive(directory, process) else UnitPhase.UNKNOWN
            # It may have ended between the two looks.
            end = layout.read_json(directory, layout.EXIT)
            phase = phase if end is None else UnitPhase.EXITED
        return _state(name, phase, process, end or {}, layout.read_json(directory, layout.SPEC) or {})

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of what the unit wrote to stdout and stderr.

        Raises:
            UnitNotFound: there is no such unit.
        """
        if self.inspect(name) is None:
            raise UnitNotFound(details={"name": name})
        content = boundedlog.read(str(self.directory / name))
        return content[-tail_bytes:].decode(errors="replace") if tail_bytes > 0 else ""

    def fetch(self, name: str, path: str, *, limit_bytes: int) -> bytes:
        """Return a file the unit wrote in its work directory.

        Raises:
            UnitNotFound: there is no such unit.
            UnitFileNotFound: there is no such file.
            UnitFileRefused: it is too large, behind a link, not a plain file, or not the unit's own.
        """
        spec = self._kept(name)
        process = layout.read_json(str(self.directory / name), layout.PROCESS) or {}
        uid: Any = process.get("uid")
        return read_beneath(str(spec["work"]), path, limit_bytes=limit_bytes, owner=uid)

    def work_directory(self, name: str) -> Path:
        """Return where a unit works.

        Raises:
            UnitNotFound: there is no such unit.
        """
        return Path(str(self._kept(name)["work"]))

    def expected_work_directory(self, name: str) -> Path:
        """Return where a unit of that name works, or would, if its spec names no directory."""
        return self.directory / check_name(name) / layout.WORK

    def hand_over(self, path: Path, account: str) -> None:
        """Make a directory and everything in it the account's own, for use as a ``workdir``; repeatable.

        Raises:
            UnitsUnavailable: no uid is free, or its parents cannot be passed by that uid.
        """
        path = path.absolute()
        _make_with_parents(path)
        uid = self._accounts.uid_for(account, owns=path)
        if uid is None:
            return
        require_reachable(path.parent, uid)
        path.chmod(0o700)
        os.chown(path, uid, uid)
        # By descriptor: a process of the account may be swapping directories for links meanwhile.
        for _, directories, files, at in os.fwalk(path, follow_symlinks=False):
            for entry in directories + files:
                os.chown(entry, uid, uid, dir_fd=at, follow_symlinks=False)

    def ask_to_stop(self, name: str) -> None:
        """Send SIGTERM to the unit's command and return; a unit that is over or absent is success.

        The shim kills it after the grace period, unless the shim itself was
        killed: whoever must be sure removes the unit.

        Raises:
            UnitsUnavailable: the unit is being started at this moment; ask again.
        """
        self._signal(name, signal.SIGTERM)

    def remove(self, name: str) -> None:
        """Kill whatever lives of a unit and delete its directory; absent is success.

        Raises:
            UnitsUnavailable: something of it cannot be killed or deleted yet; asking again is safe.
        """
        directory = self.directory / check_name(name)
        if not directory.exists():
            return
        self._kill(name)
        locks = turns.take(directory, until=lambda: not directory.exists())
        if locks is None:
            return
        try:
            grave = self._trash / f"{name}.{uuid.uuid4().hex}"
            directory.rename(grave)
        finally:
            turns.release(locks)
        self._empty_trash(grave)

    def list_owned(self) -> list[UnitState]:
        """Observe every unit."""
        names = sorted(entry.name for entry in os.scandir(self.directory))
        return [state for name in names if (state := self.inspect(name)) is not None]

    def stop_all(self, *, grace_seconds: float = 10.0) -> list[str]:
        """Ask every unit to stop, kill what is left after the grace; return the names that were running.

        Directories stay, so that exit codes and logs can still be read.
        """
        running = [state.name for state in self.list_owned() if state.phase is UnitPhase.RUNNING]
        for name in running:
            self.ask_to_stop(name)
        turns.wait(lambda: not any(self._is_running(name) for name in running), grace_seconds)
        for name in running:
            self._kill(name)
        return running

    def _is_running(self, name: str) -> bool:
        state = self.inspect(name)
        return state is not None and state.phase is UnitPhase.RUNNING

    def _kept(self, name: str) -> layout.Document:
        spec = layout.read_json(str(self.directory / check_name(name)), layout.SPEC)
        if spec is None:
            raise UnitNotFound(details={"name": name})
        return spec

    def _signal(self, name: str, number: int) -> bool:
        """Signal the shim, or the command itself if the shim is gone; return whether the shim was there."""
        directory = str(self.directory / check_name(name))
        turns.wait(
            lambda: layout.read_json(directory, layout.PROCESS) is not None or not turns.is_held(directory),
            1.0,
        )
        process: Any = layout.read_json(directory, layout.PROCESS)
        if process is None:
            if turns.is_held(directory):
                raise UnitsUnavailable(f"unit {name} is being started")
            return False
        if layout.read_json(directory, layout.EXIT) is not None:
            return False
        if processes.send_exactly(process["shim_pid"], process["shim_start_ticks"], number):
            return True
        processes.send_exactly(process["pid"], process["start_ticks"], number)
        return False

    def _kill(self, name: str) -> None:
        directory = str(self.directory / name)
        is_killing = self._signal(name, signal.SIGQUIT)
        process: Any = layout.read_json(directory, layout.PROCESS)
        if process is None:
            return
        shim = (process["shim_pid"], process["shim_start_ticks"])
        if is_killing:
            turns.wait(lambda: not processes.is_same(*shim), _SHIM_SECONDS)
        if layout.read_json(directory, layout.EXIT) is not None:
            return
        processes.send_exactly(*shim, signal.SIGKILL)
        if not turns.wait(lambda: not leftovers.kill(process, self._others(name)), _SHIM_SECONDS):
            raise UnitsUnavailable(f"processes of unit {name} cannot be killed")

    def _others(self, name: str) -> set[int]:
        """Return the uids that other living units use, which are therefore no proof of membership."""
        found: set[int] = set()
        for entry in os.scandir(self.directory):
            process: Any = layout.read_json(entry.path, layout.PROCESS)
            if entry.name != name and process and process["uid"] is not None and turns.is_held(entry.path):
                found.add(process["uid"])
        return found

    def _empty_trash(self, grave: Path) -> None:
        """Delete with ``rm``: a unit may leave trees too deep for a recursive function."""
        done = subprocess.run(["rm", "-rf", "--one-file-system", "--", str(grave)], stderr=subprocess.DEVNULL)
        if done.returncode:
            subprocess.run(["chmod", "-R", "u+rwX", "--", str(grave)], stderr=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", "--one-file-system", "--", str(grave)], stderr=subprocess.DEVNULL)


def _make_with_parents(path: Path) -> None:
    """Make a directory; parents that are missing can be passed by other uids, and not read."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            parent.chmod(0o711)
    path.mkdir(mode=0o700, exist_ok=True)


def _is_alive(directory: str, process: Any) -> bool:
    return turns.is_held(directory) or processes.is_same(process["pid"], process["start_ticks"])


def _state(name: str, phase: UnitPhase, process: Any, end: Any, spec: Any) -> UnitState:
    return UnitState(
        name=name,
        phase=phase,
        exit_code=end.get("exit_code"),
        signal=end.get("signal"),
        timed_out=end.get("timed_out", False),
        started_at=datetime.fromtimestamp(process["started_at"], UTC),
        finished_at=datetime.fromtimestamp(end["finished_at"], UTC) if end else None,
        labels=spec.get("labels", {}),
    )
