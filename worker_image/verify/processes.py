"""Runs one command after another, each to its end and to the end of everything it has started."""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final

from worker_image.verify.boundedtext import BoundedText

_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_READ_BYTES: Final = 65_536
_LOOK_SECONDS: Final = 1.0  # a lost wake-up costs this much
_PIPEFULS: Final = 32  # what the dead can have left in a pipe, and not what an outsider may go on writing


class Stopped(Exception):
    """The unit was asked to end: its deadline passed, or nobody needs the answer any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """One command that has ended, with everything below it."""

    seconds: float
    exit_code: int | None  # 128 + n if signal n ended it; None if we ended it
    timed_out: bool
    output: bytes  # of stdout, up to the limit
    is_output_complete: bool
    log: str  # beginning and end of stdout and stderr

    @property
    def is_good(self) -> bool:
        """Whether it says that all went well."""
        return self.exit_code == 0


class Runner:
    """The only parent of processes here; belongs to the main thread, for signals are its clock.

    Attributes:
        running: the name of the phase that a command belongs to; whoever runs it sets it.
        is_stopped: SIGTERM came: a running command is ended, and no other is begun.
    """

    def __init__(self) -> None:
        self.running = ""
        self.is_stopped = False
        self._wakeup, end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        timeout_seconds: float,
        output_limit: int = 0,
        stdin: Path = Path(os.devnull),
    ) -> Finished:
        """Run a command; when this returns nothing it has started is alive.

        Args:
            command: the program and its arguments.
            directory: where it starts.
            environment: all of it.
            timeout_seconds: then it is killed.
            output_limit: bytes of stdout that are kept apart from the log.
            stdin: a file.

        Raises:
            Stopped: before or while it ran; nothing of it is alive.
            OSError: it could not be started.

        """
        if self.is_stopped:
            raise Stopped
        began = time.monotonic()
        with stdin.open("rb") as given:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=dict(environment),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        with _Outputs(process, output_limit) as outputs:
            status = self._wait(process.pid, outputs, until=began + timeout_seconds)
            timed_out = status is None
            _end_all()
            process.returncode = 0  # it was collected by us: Popen must not look for it
            outputs.drain()
        if self.is_stopped:
            raise Stopped
        return Finished(
            seconds=time.monotonic() - began,
            exit_code=_exit_code(status),
            timed_out=timed_out,
            output=bytes(outputs.kept),
            is_output_complete=outputs.is_complete,
            log=outputs.log.text(),
        )

    def _wait(self, pid: int, outputs: "_Outputs", *, until: float) -> int | None:
        """Wait for the end of a process; None when the time is over or we are to stop."""
        outputs.selector.register(self._wakeup, selectors.EVENT_READ)
        while not self.is_stopped:
            status = _reap().get(pid)
            left = until - time.monotonic()
            if status is not None or left <= 0:
                return status
            for key, _ in outputs.selector.select(min(left, _LOOK_SECONDS)):
                if key.fd == self._wakeup:
                    os.read(self._wakeup, 512)
                else:
                    outputs.read(key.fd)
        return None

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopped = True


class _Outputs:
    """The two pipes of a command."""

    def __init__(self, process: "subprocess.Popen[bytes]", limit: int) -> None:
        self.kept = bytearray()
        self.is_complete = True
        self.log = BoundedText()
        self.selector = selectors.DefaultSelector()
        self._limit = limit
        self._files: list[IO[bytes]] = [file for file in (process.stdout, process.stderr) if file]
        self._stdout = self._files[0].fileno()
        for file in self._files:
            os.set_blocking(file.fileno(), False)
            self.selector.register(file.fileno(), selectors.EVENT_READ)

    def __enter__(self) -> "_Outputs":
        return self

    def __exit__(self, *_: object) -> None:
        self.selector.close()
        for file in self._files:
            file.close()

    def read(self, descriptor: int) -> bool:
        """Take what is there; False if there was nothing."""
        try:
            content = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not content:
            with contextlib.suppress(KeyError):
                self.selector.unregister(descriptor)
            return False
        self.log.feed(content)
        if descriptor == self._stdout and self._limit:
            room = self._limit - len(self.kept)
            self.kept += content[:room]
            self.is_complete = self.is_complete and len(content) <= room
        return True

    def drain(self) -> None:
        """Take what the dead have left."""
        for file in self._files:
            for _ in range(_PIPEFULS):
                if not self.read(file.fileno()):
                    break


def protect_self() -> None:
    """Deny other processes of this uid to trace or read us, and adopt all orphans below us."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _end_all() -> None:
    """Kill until the kernel says that we have no child any more."""
    while True:
        _reap()
        if not _has_children():
            return
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _reap() -> dict[int, int]:
    """Collect the dead; they are all ours, for nobody else here waits for a process."""
    dead = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            dead[found[0]] = found[1]
    return dead


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", name, "stat").read_text(errors="replace")
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _exit_code(status: int | None) -> int | None:
    if status is None:
        return None
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
