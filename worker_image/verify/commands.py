"""Runs the project's commands: one after another, each in its own process group, all before one deadline."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_HIDDEN = ("INPUT_DIR",)
GRACE_SECONDS = 2.0
MAX_LISTING_BYTES = 8_000_000


@dataclass
class Phases:
    """What was run and how it ended.

    Attributes:
        directory: where the commands run.
        deadline: on the monotonic clock, for all of them together.
        done: one record per command, in order.

    """

    directory: Path
    deadline: float
    done: list[dict[str, Any]] = field(default_factory=list)

    def run(self, name: str, command: str, *, output: IO[bytes] | None = None) -> bool:
        """Run a shell command; tell whether it ended well.

        Args:
            name: of the phase.
            command: for ``sh -c``.
            output: takes its stdout; else that goes to ours.

        """
        print(f"--- {name}: {command}", flush=True)
        began = time.monotonic()
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            start_new_session=True,
        )
        timed_out = not _ends_by(process, self.deadline)
        _kill_group(process)
        seconds = time.monotonic() - began
        return self.note(name, command, exit_code=process.wait(), seconds=seconds, timed_out=timed_out)

    def note(
        self, name: str, command: str, *, exit_code: int, seconds: float, timed_out: bool = False
    ) -> bool:
        """Record a phase; tell whether it ended well."""
        self.done.append(
            {
                "name": name,
                "command": command,
                "exit_code": exit_code,
                "seconds": round(seconds, 3),
                "timed_out": timed_out,
            }
        )
        return exit_code == 0 and not timed_out


def environment() -> dict[str, str]:
    """Return what the project's commands see."""
    kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    return {**kept, "CI": "1", "PYTHONUNBUFFERED": "1"}


def read_listing(path: Path) -> str:
    """Return what a command printed, up to a limit."""
    with path.open("rb") as file:
        return file.read(MAX_LISTING_BYTES).decode(errors="replace")


def _ends_by(process: "subprocess.Popen[bytes]", deadline: float) -> bool:
    try:
        process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _send(process, signal.SIGTERM)
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _send(process, signal.SIGKILL)
        return False
    return True


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End what a command left in the background: nothing of one phase may act in the next."""
    _send(process, signal.SIGKILL)


def _send(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # the whole group is gone
