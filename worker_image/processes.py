"""Processes below the wrapper: find them, end all of them, collect the dead.

The agent's tree may leave its process group and its parent. The wrapper is PID 1 of a container, or made a
"child subreaper", so whoever loses its parent becomes the wrapper's child and is still found below it.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
TERM_GRACE_SECONDS = 2.0
KILL_ROUNDS = 50
ROUND_SECONDS = 0.05
_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    state: str
    started: str
    """Clock ticks since boot: with the pid, an identity that is not reused."""
    name: str = ""
    """Of the program, its first 15 characters."""
    ticks: int = 0
    """Clock ticks of computing, its own."""

    def age(self) -> float:
        """Return the seconds since it was started."""
        return max(0.0, round(time.clock_gettime(time.CLOCK_BOOTTIME) - int(self.started) / _HERTZ, 1))


def protect_self() -> None:
    """Hide this process's environment from others of its uid, and adopt its tree's orphans."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def descendants(root: int, *, owned: frozenset[int] = frozenset()) -> list[Process]:
    """Return the processes below one, without those (and what is below those) that are somebody else's."""
    children: dict[int, list[Process]] = {}
    for process in table():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in owned:
                found.append(child)
                waiting.append(child.pid)
    return found


def count_children() -> int:
    """Return how many living processes are below this one."""
    return sum(process.state != "Z" for process in descendants(os.getpid()))


async def end_tree(
    group: int | None, *, owned: frozenset[int], grace_seconds: float = TERM_GRACE_SECONDS
) -> None:
    """End a process group and everything below this process except `owned`: ask first, then kill.

    Returns when nothing of it is alive any more.
    """
    if grace_seconds and _living(owned):
        _signal_group(group, signal.SIGTERM)
        await _wait_until_gone(owned, grace_seconds)
    for _ in range(KILL_ROUNDS):
        _signal_group(group, signal.SIGKILL)
        living = _living(owned)
        for process in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        if not living:
            return
        await asyncio.sleep(ROUND_SECONDS)


class Reaper:
    """Collects dead orphans that nobody else waits for."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, str]] = set()

    def reap(self) -> None:
        """Collect children that were dead at the last call already: their own waiter had its turn."""
        me = os.getpid()
        dead = {(item.pid, item.started) for item in table() if item.parent == me and item.state == "Z"}
        for pid, _ in dead & self._seen:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = dead


async def _wait_until_gone(owned: frozenset[int], seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while _living(owned) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(ROUND_SECONDS)


def _living(owned: frozenset[int]) -> list[Process]:
    return [process for process in descendants(os.getpid(), owned=owned) if process.state != "Z"]


def _signal_group(group: int | None, number: signal.Signals) -> None:
    if group is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def table() -> list[Process]:
    """Return every process that can be seen."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.append(_parse(int(entry.name), (entry / "stat").read_text()))
    return found


def _parse(pid: int, stat: str) -> Process:
    head, _, rest = stat.rpartition(")")
    fields = rest.split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        state=fields[0],
        started=fields[19],
        name=head.partition("(")[2],
        ticks=int(fields[11]) + int(fields[12]),
    )
