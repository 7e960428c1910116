"""One project on this server: where its data are, its containers, its archives."""

import os
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from apps.infra.server_backup import processes

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ARCHIVE = re.compile(r"\d{8}T\d{6}Z\.tar\.gz")
_DOCKER_SECONDS = 120
#: A project stands still for no longer than this; the settings may say otherwise.
_FREEZE_SECONDS = 300
#: So much later the watcher lets go by itself.
_LATER_SECONDS = 5
ERROR_CHARACTERS = 300


class Refused(Exception):
    """Something that a person has to know, in words."""


def docker(*words: str) -> list[str]:
    """Return the lines that a docker command prints; no Docker, no lines."""
    if shutil.which("docker") is None:
        return []
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=_DOCKER_SECONDS, check=False
    )
    if done.returncode:
        raise Refused(f"docker {words[0]}: {done.stderr.strip()[-ERROR_CHARACTERS:]}")
    return done.stdout.split("\n")[:-1]


def is_name(text: str) -> bool:
    """Tell whether a directory is named as projects are."""
    return _NAME.fullmatch(text) is not None


class Project:
    """One project's data on this server, and its archives."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        if not is_name(name):
            raise Refused(f"{name[:70]!r} is not the name of a project.")
        self.name, self.keep = name, int(settings["keep"])
        self._seconds = int(settings.get("freeze_seconds", _FREEZE_SECONDS))
        #: What is kept, where it is if it is there; the names are those in the archive.
        self.places = {
            "data": Path(settings["projects"]) / name / "data",
            "services": Path(settings["services"]) / name,
        }
        self.archives = Path(settings["archives"]) / name
        self._paused = Path(settings["archives"]) / ".paused"
        self._label = f"label=com.docker.compose.project={name}"

    def roots(self) -> dict[str, Path]:
        """Return what is archived: the name in the archive, and where it is."""
        places = self.places.items()
        found = {root: place for root, place in places if place.is_dir() and not place.is_symlink()}
        for volume in docker("volume", "ls", "--quiet", "--filter", self._label):
            (place,) = docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume)
            found[f"volumes/{volume}"] = Path(place)
        return found

    def complete(self) -> list[Path]:
        """Return the archives that are whole, oldest first."""
        if not self.archives.is_dir():
            return []
        found = sorted(path for path in self.archives.iterdir() if _ARCHIVE.fullmatch(path.name))
        return [path for path in found if note_of(path).is_file()]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the project's containers and processes for the length of a block, and no longer than allowed.

        Raises:
            Refused: the block took too long; it was broken off, and what was held goes on.
        """
        running = docker("ps", "--quiet", "--filter", self._label, "--filter", "status=running")
        holders = processes.holders(self.places["services"])
        with _thawing(self._paused, running + holders, self._seconds):
            for container in running:
                docker("pause", container)
            processes.tell(holders, signal.SIGSTOP)
            yield

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the project's containers for the length of a block; its processes end behind it.

        They are not asked to: what they would still write is of what was replaced. The control plane
        starts them again.
        """
        running = docker("ps", "--quiet", "--filter", self._label)
        holders = processes.holders(self.places["services"])
        try:
            for container in running:
                docker("stop", container)
            processes.tell(holders, signal.SIGSTOP)
            yield
        finally:
            processes.tell(holders, signal.SIGKILL)
            for container in running:
                docker("start", container)


def note_of(archive: Path) -> Path:
    """Return the file that says what an archive should be."""
    return archive.with_suffix("").with_suffix(".json")


def thaw(noted: Path) -> None:
    """Let go on what is noted as held, also what a killed process left."""
    if noted.is_file():
        held = noted.read_text().split()
        processes.tell([each for each in held if ":" in each], signal.SIGCONT)
        for container in (each for each in held if ":" not in each):
            try:
                docker("unpause", container)
            except (Refused, subprocess.SubprocessError):
                continue  # gone, or not paused yet; one that does not answer keeps no other
        noted.unlink(missing_ok=True)


@contextmanager
def _thawing(noted: Path, held: list[str], seconds: int) -> Iterator[None]:
    """See to it that what is held is let go behind a block, in time, and also if this process is killed."""

    def break_off(*_: object) -> None:
        raise Refused(f"Not archived: it would have been held for more than {seconds} s (freeze_seconds).")

    noted.write_text("\n".join(held))
    listening, speaking = os.pipe()
    watcher = os.fork()
    if not watcher:
        _watch(noted, listening, speaking, seconds + _LATER_SECONDS)
    os.close(listening)
    signal.signal(signal.SIGALRM, break_off)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        thaw(noted)
        os.close(speaking)
        os.waitpid(watcher, 0)


def _watch(noted: Path, listening: int, speaking: int, seconds: float) -> NoReturn:
    """Thaw when the process that began this is gone, or is late; the lock is free only behind that."""
    try:
        os.setsid()
        for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        os.close(speaking)
        select.select([listening], [], [], seconds)
        thaw(noted)
    finally:
        os._exit(0)
