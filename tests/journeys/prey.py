"""A worker's container that will be killed, and what it did until then, out of everybody's reach."""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import docker
from docker.errors import APIError

from worker_image.rehearsal.notes import COMMITTED, FILE

_BRANCH: Final = re.compile(r"ref: refs/heads/(task/\S+)\n")
#: Takes what memory there is as a file without a name: it counts for the container, not for this process, so
#: the kernel takes the largest of the others.
_HOG: Final = """
import os
file = os.memfd_create("hog")
while True:
    os.write(file, b"x" * (4 << 20))
"""


@dataclass
class Prey:
    """One worker at work.

    Its notes and its list of commits are opened while it lives; an open file outlives its deletion.
    """

    branch: str
    notes_fd: int
    commits_fd: int
    seen_at: float = field(default_factory=time.time)
    lines_at_kill: int | None = None
    """How much was on its disk when it was struck."""

    def notes(self) -> list[float]:
        """Return the time of every line that it wrote, in order."""
        return times(_content(self.notes_fd))

    def commits(self) -> list[str]:
        """Return every commit of which it was told that it is made."""
        return [line for line in _content(self.commits_fd).split("\n")[:-1] if line]

    def strike(self) -> None:
        """Look at the disk at the moment of a kill."""
        if self.lines_at_kill is None:
            self.lines_at_kill = len(self.notes())

    def close(self) -> None:
        """Let go of its files."""
        os.close(self.notes_fd)
        os.close(self.commits_fd)


def open_in(directory: Path) -> Prey | None:
    """Return the worker whose checkout is in a directory; None if it has not begun to edit."""
    opened: list[int] = []
    try:
        for name in (FILE, COMMITTED):
            opened.append(os.open(directory / name, os.O_RDONLY))
        found = _BRANCH.fullmatch((directory / ".git" / "HEAD").read_text())
    except OSError:
        found = None
    if found is None:
        for fd in opened:
            os.close(fd)
        return None
    return Prey(branch=found[1], notes_fd=opened[0], commits_fd=opened[1])


def times(notes: str) -> list[float]:
    """Return the time of every whole line of notes."""
    whole = notes[: notes.rfind("\n") + 1]
    return [float(line.split()[1]) for line in whole.splitlines()]


def kill_container(client: docker.DockerClient, worker_id: str) -> bool:
    """``docker kill``; False if it ended before."""
    try:
        client.api.kill(f"worker-{worker_id}")
    except APIError:
        return False
    return True


def exhaust_memory(client: docker.DockerClient, worker_id: str) -> bool:
    """Let the kernel kill the wrapper for want of memory; False if it ended before."""
    name = f"worker-{worker_id}"
    try:
        pid = client.api.inspect_container(name)["State"]["Pid"]
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        hog = client.api.exec_create(name, ["python3", "-c", _HOG])["Id"]
        client.api.exec_start(hog, detach=True)
    except (APIError, OSError):
        return False
    return True


def _content(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode()
