"""What the kernel says about processes: identity, parentage, owner. Standard library only."""

import contextlib
import os
import signal

#: Kernel states of a process that will never run again.
_DEAD = frozenset({"Z", "X", "x"})
#: Kernel states of a process that was stopped by a signal.
_STOPPED = frozenset({"T", "t"})
_UNINTERRUPTIBLE = "D"


class Stat:
    """One process as /proc shows it at one instant."""

    __slots__ = ("parent", "pid", "session", "start_ticks", "state")

    def __init__(self, pid: int, fields: list[str]) -> None:
        self.pid = pid
        self.state = fields[0]
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.start_ticks = int(fields[19])

    @property
    def is_alive(self) -> bool:
        """A zombie is dead: it only waits for its parent to notice."""
        return self.state not in _DEAD


def stat(pid: int) -> Stat | None:
    """Describe one process, or return None if there is none of that pid."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may contain anything.
    return Stat(pid, content.rpartition(")")[2].split())


def is_same(pid: int, start_ticks: int) -> bool:
    """Say whether the process that was recorded still lives (its pid may have gone to another)."""
    found = stat(pid)
    return found is not None and found.is_alive and found.start_ticks == start_ticks


def snapshot() -> list[Stat]:
    """Describe every process of the machine."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [found for pid in pids if (found := stat(pid)) is not None]


def descendants(root: int) -> list[int]:
    """Return the living descendants of a process, nearest first, without itself."""
    children: dict[int, list[Stat]] = {}
    for found in snapshot():
        children.setdefault(found.parent, []).append(found)
    result: list[int] = []
    pending = [root]
    while pending:
        for found in children.get(pending.pop(), []):
            pending.append(found.pid)
            if found.is_alive:
                result.append(found.pid)
    return result


def is_stopped(found: Stat) -> bool:
    """Say whether a process runs no further instruction of its own until it is continued.

    One that waits in the kernel for a child that it made with vfork takes notice of a signal only when that
    child has become another program (vfork(2)); a child that was stopped before never does. Such a parent
    stays asleep with the stop before it, which is as good.
    """
    return found.state in _STOPPED or (found.state == _UNINTERRUPTIBLE and _has_stop_pending(found.pid))


def _has_stop_pending(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # Signals for the whole process, as a mask in which bit 0 is signal 1 (proc(5)).
    pending = next((int(line.split()[1], 16) for line in lines if line.startswith(b"ShdPnd:")), 0)
    return bool(pending >> (signal.SIGSTOP - 1) & 1)


def owner(pid: int) -> int | None:
    """Return the uid a process runs under, or None if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None


def has_variable(pid: int, assignment: str) -> bool:
    """Say whether a process was started with this ``NAME=value``; one we may not look into was not."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return assignment.encode() in file.read().split(b"\0")
    except OSError:
        return False


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is already gone is success."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def send_exactly(pid: int, start_ticks: int, number: int) -> bool:
    """Send a signal to the recorded process and to no other; return whether it was there."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not is_same(pid, start_ticks):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
