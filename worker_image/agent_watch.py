"""Watches one run of an agent: its processes, output, connections, transcript and files, once per heartbeat.

Cheap on purpose: one walk over `/proc`, one question to the kernel about sockets, and what was added to the
transcript since the last look.
"""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from worker_image import connections, processes
from worker_image.agent_run import AgentRun
from worker_image.open_calls import OpenCalls, Transcripts, read_event
from worker_image.processes import Process
from worker_image.signs import MAX_NAME_CHARS, AgentSigns

PARTS = frozenset({"claude", "codex", "droid"})
"""Names of the processes that agents consist of: a launcher and the program it launches are one agent."""
BUSY_SHARE = 0.03
"""Share of a core from which on it computes: an idle agent's timers take 0.003 of one."""
_READ_CALL = {"x86_64": "0", "aarch64": "63"}.get(platform.machine())
_TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Last:
    """When something was last seen different from before."""

    value: object = None
    at: float | None = None

    def note(self, value: object, now: float, *, is_sign: bool = True) -> None:
        if value != self.value:
            self.value = value
            self.at = now if is_sign else self.at


class AgentWatch:
    """The signs of life of one run.

    Args:
        run: what is watched; it may not have started yet.
        home: where the agent keeps its transcripts.
        now: seconds of a clock that only goes forward.

    """

    def __init__(self, run: AgentRun, home: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._now = now
        self._began = now()
        self._transcripts = Transcripts(home)
        self._calls = OpenCalls()
        self._output, self._traffic = _Last(value=0), _Last(value=0)
        self._event_at: float | None = None
        self._cpu_at: float | None = None
        self._ticks: tuple[float, dict[int, int]] = (self._began, {})

    def see_line(self, line: str) -> None:
        """Take one line that the agent printed."""
        event = read_event(line)
        if event is not None and self._calls.see(event):
            self._event_at = self._now()

    def sample(self, files_changed_at: datetime | None = None) -> AgentSigns | None:
        """Look now; None before it was started, after it was ended, and if the machine does not tell.

        Args:
            files_changed_at: when its checkout was last seen changed.

        """
        if self._run.pid is None:
            return None
        try:
            return self._look(self._run.pid, files_changed_at)
        except (OSError, ValueError) as error:
            # A heartbeat without signs is worth more than none.
            logger.warning("agent_not_seen", error=str(error))
            return None

    def _look(self, pid: int, files_changed_at: datetime | None) -> AgentSigns:
        now = self._now()
        table = processes.table()
        parts = _parts_of(pid, table)
        tools = _tools_of(parts, table)
        self._look_at_transcripts(now)
        self._output.note(self._run.stdout.total + self._run.stderr.total, now)
        self._look_at_traffic(parts, now)
        self._look_at_cpu(parts, now)
        ages = sorted(process.age() for process in tools)
        leaves = _leaves_of(tools)
        leaf = max(leaves, key=lambda process: process.age(), default=None)
        return AgentSigns(
            seconds=round(now - self._began, 1),
            is_alive=bool(parts),
            is_frozen=any(part.state in "Tt" for part in parts),
            output_age=self._age(self._output.at, now),
            event_age=self._age(self._event_at, now),
            traffic_age=self._age(self._traffic.at, now),
            cpu_age=self._age(self._cpu_at, now),
            file_age=_wall_age(files_changed_at),
            is_call_open=self._calls.is_open,
            tools=len(tools),
            tool=_printable(leaf.name) if leaf else "",
            tool_age=ages[-1] if ages else None,
            youngest_tool_age=ages[0] if ages else None,
            is_terminal_read=bool(leaves) and all(map(_reads_terminal, leaves)),
        )

    def _look_at_transcripts(self, now: float) -> None:
        lines, is_lost = self._transcripts.new_lines()
        if is_lost:
            self._calls.lose()
        for line in lines:
            if (event := read_event(line)) is not None:
                self._calls.see(event)
        if lines or is_lost:
            self._event_at = now

    def _look_at_traffic(self, parts: Sequence[Process], now: float) -> None:
        carried = connections.bytes_carried(part.pid for part in parts)
        if carried is not None:
            # A connection that was closed is no sign of life by itself: only more bytes are.
            known = self._traffic.value if isinstance(self._traffic.value, dict) else {}
            is_more = any(count > known.get(inode, 0) for inode, count in carried.items())
            self._traffic.note(carried, now, is_sign=is_more)

    def _look_at_cpu(self, parts: Iterable[Process], now: float) -> None:
        before, known = self._ticks
        ticks = {part.pid: part.ticks for part in parts}
        spent = sum(count - known.get(pid, 0) for pid, count in ticks.items())
        if spent / _TICKS_PER_SECOND > BUSY_SHARE * max(now - before, 0.1):
            self._cpu_at = now
        self._ticks = (now, ticks)

    @staticmethod
    def _age(at: float | None, now: float) -> float | None:
        return None if at is None else round(now - at, 1)


def _parts_of(pid: int, table: Sequence[Process]) -> list[Process]:
    """Return the processes that are the agent itself: the first, and what of its own kind it started."""
    parts = [process for process in table if process.pid == pid and process.state != "Z"]
    for part in parts:
        parts += [item for item in table if item.parent == part.pid and _is_part(item)]
    return parts


def _is_part(process: Process) -> bool:
    return process.name in PARTS and process.state != "Z"


def _tools_of(parts: Sequence[Process], table: Sequence[Process]) -> list[Process]:
    """Return the living processes below the agent that are not the agent, parents before children."""
    own = {part.pid for part in parts}
    parents, found = list(own), []
    while parents:
        parent = parents.pop()
        for item in table:
            if item.parent == parent and item.pid not in own and item.state != "Z":
                found.append(item)
                parents.append(item.pid)
    return found


def _leaves_of(tools: Sequence[Process]) -> list[Process]:
    """Return the ends of the chains: what shells and test runners above them wait for."""
    parents = {process.parent for process in tools}
    return [process for process in tools if process.pid not in parents]


def _reads_terminal(process: Process) -> bool:
    if process.state != "S" or _READ_CALL is None:
        return False
    directory = Path("/proc") / str(process.pid)
    with contextlib.suppress(OSError):
        call = (directory / "syscall").read_text().split()
        if call[:2] == [_READ_CALL, "0x0"]:
            return os.readlink(directory / "fd" / "0").startswith(_TERMINALS)
    return False


def _printable(name: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in name)[:MAX_NAME_CHARS]


def _wall_age(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, round((datetime.now(UTC) - moment).total_seconds(), 1))
