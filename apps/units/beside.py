"""What else can be done to a running unit: hold it, let it go, run a command next to it."""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apps.errors import Conflict
from apps.units import layout, processes
from apps.units.spec import UnitNotFound, UnitPhase, UnitsUnavailable
from apps.units.supervisor import Units

_HOLD_SECONDS: Final = 2.0
_COUNT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.002
#: Exit codes as shells and coreutils' ``timeout`` use them.
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127
_TIMED_OUT: Final = 124
_KILLED: Final = 137
_PIECE_BYTES: Final = 64 * 1024


class UnitNotRunning(Conflict):
    """The unit has ended."""

    code = "unit_not_running"


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """What a command did: its exit code, and the end of what it wrote.

    Attributes:
        is_flood: it wrote more than it may, and was killed for it.
    """

    exit_code: int
    output: bytes
    is_flood: bool = False


def pause(units: Units, name: str) -> None:
    """Stop every process of a unit; its supervisor goes on and still enforces the deadline.

    Raises:
        UnitNotFound, UnitNotRunning: there is nothing to hold.
        UnitsUnavailable: it makes processes faster than they can be stopped.
    """
    shim = _running(units, name)["shim_pid"]
    deadline = time.monotonic() + _HOLD_SECONDS
    while moving := [pid for pid in processes.descendants(shim) if not _is_stopped(pid)]:
        for pid in moving:
            processes.send(pid, signal.SIGSTOP)
        if time.monotonic() >= deadline:
            raise UnitsUnavailable(f"processes of unit {name} cannot be stopped")
        time.sleep(_POLL_SECONDS)


def unpause(units: Units, name: str) -> None:
    """Let every process of a unit go on.

    Raises:
        UnitNotFound, UnitNotRunning: there is nothing to let go.
    """
    # The first process last: it may be waiting for the others.
    for pid in reversed(processes.descendants(_running(units, name)["shim_pid"])):
        processes.send(pid, signal.SIGCONT)


def is_paused(units: Units, name: str) -> bool:
    """Say whether a unit's own command was stopped."""
    process: Any = layout.read_json(str(units.directory / name), layout.PROCESS)
    return process is not None and _is_stopped(process["pid"], missing=False)


def execute(
    units: Units,
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_seconds: float,
    limit_bytes: int,
    flood_bytes: int,
) -> CommandResult:
    """Run a short command under a unit's account, in its work directory.

    Args:
        units: where the unit lives.
        name: the unit.
        argv: the command.
        env: its whole environment, in which the unit's own account can read.
        timeout_seconds: after which it is killed.
        limit_bytes: how much of its output is kept.
        flood_bytes: how much it may write; one that writes more is killed.

    Raises:
        UnitNotFound, UnitNotRunning: there is no place to run it in.
        UnitsUnavailable: the machine has no process left.
    """
    process = _running(units, name)
    uid = process["uid"]
    account = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    try:
        command = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": str(units.directory / name / layout.HOME), **env},
            cwd=units.work_directory(name),
            start_new_session=True,
            bufsize=0,
            **account,
        )
    except (FileNotFoundError, PermissionError) as error:
        code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        return CommandResult(exit_code=code, output=str(error).encode()[-limit_bytes:])
    except BlockingIOError as error:
        raise UnitsUnavailable(f"no process can be started beside {name}") from error
    deadline = time.monotonic() + timeout_seconds
    with command:
        return _result(command, deadline=deadline, limit_bytes=limit_bytes, flood_bytes=flood_bytes)


def _result(
    command: "subprocess.Popen[bytes]", *, deadline: float, limit_bytes: int, flood_bytes: int
) -> CommandResult:
    """Wait for a command, or kill it and whatever it started at its deadline or when it writes too much."""
    tail, written = bytearray(), 0
    try:
        for piece in _pieces(command, deadline):
            written += len(piece)
            tail += piece
            del tail[:-limit_bytes]
            if written > flood_bytes:
                return CommandResult(exit_code=_KILLED, output=bytes(tail), is_flood=True)
        code = command.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        return CommandResult(exit_code=_TIMED_OUT, output=bytes(tail))
    finally:
        # Until it was waited for, its number is nobody else's.
        if command.returncode is None:
            os.killpg(command.pid, signal.SIGKILL)
    return CommandResult(exit_code=code if code >= 0 else 128 - code, output=bytes(tail))


def _pieces(command: "subprocess.Popen[bytes]", deadline: float) -> Iterator[bytes]:
    """Yield what a command writes until it stops.

    Raises:
        TimeoutError: it has not stopped in time.
    """
    assert command.stdout is not None
    output, waiting = command.stdout.fileno(), select.poll()
    waiting.register(output, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1_000):
            raise TimeoutError
        piece = os.read(output, _PIECE_BYTES)
        if not piece:
            return
        yield piece


def disk_use(units: Units, names: Sequence[str]) -> dict[str, int]:
    """Return the bytes that units' own directories take; one that cannot be counted in time is left out."""
    found = {}
    for name in names:
        places = [str(units.directory / name / part) for part in (layout.WORK, layout.HOME, layout.TMP)]
        try:
            done = subprocess.run(
                ["du", "--summarize", "--total", "--one-file-system", "--block-size=1", "--", *places],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_COUNT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            continue
        lines = done.stdout.splitlines()
        if lines:
            found[name] = int(lines[-1].split()[0])
    return found


def make_home(units: Units, home: str) -> Path:
    """Return a directory that outlives units, made and handed to the account of the same name."""
    directory = home_directory(units, home)
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Not by mkdir's mode, which a strict umask narrows: other accounts have to pass.
    directory.parent.chmod(0o711)
    units.hand_over(directory, home)
    return directory


def remove_home(units: Units, home: str) -> None:
    """Delete a home; absent is success.

    Raises:
        UnitsUnavailable: a unit runs in it.
    """
    for state in units.list_owned():
        spec: Any = layout.read_json(str(units.directory / state.name), layout.SPEC)
        if state.phase is UnitPhase.RUNNING and spec is not None and spec["account"] == home:
            raise UnitsUnavailable(f"unit {state.name} runs in {home}")
    directory = home_directory(units, home)
    if directory.exists():
        shutil.rmtree(directory)


def home_directory(units: Units, home: str) -> Path:
    """Return where a home is, or would be."""
    return units.root / "homes" / home


def _running(units: Units, name: str) -> Any:
    state = units.inspect(name)
    if state is None:
        raise UnitNotFound(details={"name": name})
    if state.phase is not UnitPhase.RUNNING:
        raise UnitNotRunning(details={"name": name})
    return layout.read_json(str(units.directory / name), layout.PROCESS)


def _is_stopped(pid: int, *, missing: bool = True) -> bool:
    found = processes.stat(pid)
    return missing if found is None or not found.is_alive else processes.is_stopped(found)
