"""Start, recognise and stop detached processes by an identity that survives pid reuse."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

LOG_LIMIT_BYTES = 10_000_000
# Above the ports of deployments and below every usual ephemeral range: a client that keeps reconnecting to
# a dead server on an ephemeral port sooner or later connects to itself, and then nobody can bind that port.
PORT_RANGE = range(23_000, 32_000)

# Exit codes of the children of this process, None while they run; they are detached and may outlive us.
_children: dict[int, int | None] = {}
_children_guard = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One process: its pid and the moment it started, which together are never reused."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Identify a living process; None if there is none (a zombie is none)."""
        started = _start_token(pid)
        return None if started is None else cls(pid=pid, started=started)

    def is_alive(self) -> bool:
        """Tell whether this very process still runs."""
        reap(self.pid)
        return _start_token(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False if it was gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def as_json(self) -> dict[str, int | str]:
        """Return plain values for a state file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "Identity | None":
        """Read what ``as_json`` wrote; None for anything else."""
        match value:
            case {"pid": int(pid), "started": str(started)} if pid > 1:
                return cls(pid=pid, started=started)
        return None


def _start_token(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _portable_start_token(pid)
    except ProcessLookupError:
        return None
    # The name is in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else start_ticks


def _portable_start_token(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    uid: int | None = None,
    handed: Sequence[int] = (),
) -> Identity:
    """Start a program in its own session, its output appended to ``log``, and return who it is.

    Args:
        argv: the program and its arguments; never a secret, everybody can read them.
        log: rotated once (``.1``) when it is over ``LOG_LIMIT_BYTES``.
        env: its whole environment.
        cwd: its working directory.
        uid: drop to this uid and gid, and to no other group (needs root).
        handed: open descriptors that it gets, under the same numbers.

    Raises:
        OSError: the program could not be executed.

    """
    with open_log(log) as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            umask=0o077,
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else (),
            pass_fds=handed,
        )
    with _children_guard:
        for pid in [pid for pid, code in _children.items() if code is not None]:
            del _children[pid]
        _children[process.pid] = None
    # From here on ``reap`` waits for it; the object shall neither wait nor complain at our exit.
    process.returncode = 0
    return Identity.of(process.pid) or Identity(pid=process.pid, started="ended")


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending, readable by us only."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


def log_tail(path: Path, *, lines: int = 12) -> str:
    """Return the end of a log for an error message; empty if there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 8_192))
        text = stream.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def reap(pid: int) -> int | None:
    """Collect a child of ours that ended; return its exit code, None if it runs or is not ours."""
    # An ended child stays known until its successor is started: several threads ask about it.
    with _children_guard:
        if pid in _children and _children[pid] is None:
            _children[pid] = _exit_code(pid)
        return _children.get(pid)


def _exit_code(pid: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0  # somebody else in this process has collected it, so its code is lost
    return os.waitstatus_to_exitcode(status) if ended else None


def wait_gone(identity: Identity, *, seconds: float) -> bool:
    """Wait until a process has ended; False if it still runs after ``seconds``."""
    deadline = time.monotonic() + seconds
    while identity.is_alive():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def stop(identity: Identity, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn, waiting its seconds for the process to end; True once it has."""
    for number, seconds in signals:
        if not identity.send(number) or wait_gone(identity, seconds=seconds):
            return True
    return not identity.is_alive()


def kill_group(leader: Identity) -> None:
    """SIGKILL every process of the group that ``leader`` led and that has not left it."""
    if (now := Identity.of(leader.pid)) is not None and now != leader:
        return  # the pid, and with it the group's number, belongs to somebody else by now
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader.pid and process.pid != os.getpid():
                process.kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def free_port(*, preferred: int | None = None) -> int:
    """Return a TCP port that nobody listens on at the loopback address, ``preferred`` if it is free."""
    if preferred is not None and is_port_free(preferred):
        return preferred
    for port in random.sample(PORT_RANGE, k=200):
        if is_port_free(port):
            return port
    raise OSError("no free loopback port found")


def is_port_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def read_json(path: Path) -> dict[str, object]:
    """Read a state file; empty if it is missing or was cut short."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
