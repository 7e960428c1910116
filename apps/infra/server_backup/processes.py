"""Processes that keep their data below a directory: held while it is read, ended when it was replaced."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_START_TIME = 19  # of the fields of /proc/PID/stat behind the name


def holders(directory: Path) -> list[str]:
    """Return the processes whose DATA_DIR is below a directory, each as ``PID:START``."""
    wanted = b"\0DATA_DIR=" + os.fsencode(directory) + b"/"
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                is_one = wanted in b"\0" + (entry / "environ").read_bytes()
            except OSError:
                continue  # gone, or a process of the kernel
            if is_one:
                found.append(f"{entry.name}:{_started(entry.name)}")
    return found


def tell(tokens: Iterable[str], which: signal.Signals) -> None:
    """Send a signal to processes, never to others that were given their numbers meanwhile."""
    for token in tokens:
        pid, _, started = token.partition(":")
        if started and _started(pid) == started:
            try:
                os.kill(int(pid), which)
            except ProcessLookupError:
                continue


def _started(pid: str) -> str:
    try:
        stat = (_PROC / pid / "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[_START_TIME]
