"""Runs one script of a step as a process group of its own, its output masked into a log."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tests.github_server.masking import Masker

GRACE_SECONDS = 0.5
COMMANDS = {
    None: ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
    "sh": ("sh", "-e"),
    "python": ("python",),
}


class Log:
    """The log of a step: a time before every line, secrets masked, workflow commands obeyed."""

    def __init__(self, path: Path, masker: Masker) -> None:
        self.path, self._masker = path, masker
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        path.touch()

    def write(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            if line.startswith("::add-mask::"):
                self._masker.hide(line.removeprefix("::add-mask::"))
                continue
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(f"{moment} {self._masker.mask(_command(line))}\n")


def _command(line: str) -> str:
    """Show the commands of a script as the real log does."""
    for name in ("error", "warning", "notice", "debug", "group"):
        if line.startswith((f"::{name}::", f"::{name} ")):
            return f"##[{name}]{line.removeprefix('::').partition('::')[2]}"
    return "##[endgroup]" if line.startswith("::endgroup::") else line


@dataclass
class Groups:
    """The process groups a job started, ended together with it."""

    pids: list[int] = field(default_factory=list)

    def kill(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.pids.clear()


def run(
    script: Path,
    *,
    shell: str | None,
    folder: Path,
    environment: Mapping[str, str],
    log: Log,
    groups: Groups,
    canceled: threading.Event,
    deadline: float,
) -> str:
    """Run a script and return its conclusion: success, failure, cancelled or timed_out."""
    try:
        process = subprocess.Popen(
            [*COMMANDS[shell], str(script)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        log.write(f"##[error]An error occurred trying to start process: {error}")
        return "failure"
    groups.pids.append(process.pid)
    assert process.stdout is not None
    reader = threading.Thread(target=_copy, args=(process.stdout, log), daemon=True)
    reader.start()
    conclusion = _wait(process, canceled, deadline)
    reader.join(2.0)
    if reader.is_alive():
        # Something was left behind that holds the pipe; it ends with its group, as orphans of a job do.
        groups.kill()
        reader.join(5.0)
    process.stdout.close()
    if conclusion == "failure":
        log.write(f"##[error]Process completed with exit code {process.returncode}.")
    elif conclusion != "success":
        log.write("##[error]The operation was canceled.")
    return conclusion


def _copy(stream: IO[bytes], log: Log) -> None:
    with contextlib.suppress(ValueError):
        for line in stream:
            log.write(line.decode(errors="replace").rstrip("\n"))


def _wait(process: "subprocess.Popen[bytes]", canceled: threading.Event, deadline: float) -> str:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            return "success" if process.returncode == 0 else "failure"
        if canceled.is_set() or time.monotonic() >= deadline:
            _end(process)
            return "cancelled" if canceled.is_set() else "timed_out"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask politely, then less so; then make sure."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
