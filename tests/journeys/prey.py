"""A worker's container that will be killed, and what it did until then, out of everybody's reach."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from worker_image.rehearsal.notes import FILE

#: Takes what memory there is as a file without a name: it counts for the container, not for this process, so
#: the kernel takes the largest of the others.
_HOG = """
import os
file = os.memfd_create("hog")
while True:
    os.write(file, b"x" * (4 << 20))
"""


@dataclass
class Prey:
    """One worker at work.

    Its notes and its log of commits are opened while it lives; an open file outlives its deletion.
    """

    worker_id: str
    task_id: str
    notes_fd: int
    commits_fd: int
    seen_at: float = field(default_factory=time.time)
    kinds: list[str] = field(default_factory=list)
    """Every kind of kill that could have ended it, in order."""
    killed_at: float = 0.0

    @property
    def container(self) -> str:
        return f"worker-{self.worker_id}"

    def notes(self) -> list[float]:
        """Return the time of every line that it wrote, in order."""
        return times(_content(self.notes_fd))

    def commits(self) -> list[tuple[str, int]]:
        """Return every commit that it made, with its time in whole seconds."""
        made = []
        for line in _content(self.commits_fd).splitlines():
            words, _, action = line.partition("\t")
            if action.startswith("commit"):
                made.append((words.split()[1], int(words.split()[-2])))
        return made

    def close(self) -> None:
        """Let go of its files."""
        os.close(self.notes_fd)
        os.close(self.commits_fd)


def find(client: docker.DockerClient, worker_id: str, task_id: str) -> Prey | None:
    """Return a worker that has begun to edit; None if it has not, or is gone."""
    try:
        mounts: list[dict[str, Any]] = client.api.inspect_container(f"worker-{worker_id}")["Mounts"]
    except NotFound:
        return None
    place = next((mount["Source"] for mount in mounts if mount["Destination"] == "/workspace"), None)
    opened: list[int] = []
    try:
        for name in (FILE, ".git/logs/HEAD"):
            opened.append(os.open(Path(str(place), name), os.O_RDONLY))
    except OSError:
        for fd in opened:
            os.close(fd)
        return None
    return Prey(worker_id=worker_id, task_id=task_id, notes_fd=opened[0], commits_fd=opened[1])


def times(notes: str) -> list[float]:
    """Return the time of every whole line of notes."""
    whole = notes[: notes.rfind("\n") + 1]
    return [float(line.split()[1]) for line in whole.splitlines()]


def kill_container(client: docker.DockerClient, prey: Prey) -> bool:
    """``docker kill``; False if it ended before."""
    try:
        client.api.kill(prey.container)
    except APIError:
        return False
    return True


def exhaust_memory(client: docker.DockerClient, prey: Prey) -> bool:
    """Let the kernel kill the wrapper for want of memory; False if it ended before."""
    try:
        pid = client.api.inspect_container(prey.container)["State"]["Pid"]
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        hog = client.api.exec_create(prey.container, ["python3", "-c", _HOG])["Id"]
        client.api.exec_start(hog, detach=True)
    except (APIError, OSError):
        return False
    return True


def _content(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode()
