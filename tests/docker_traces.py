"""What a run of the tests leaves on the Docker engine: containers, volumes and networks that were not there.

The engine is everybody's, so a thing counts only if nobody else can have made it: it carries the label of a
test's installation, or it carries none while this run had the engine for itself.
"""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker

from apps.workers.runtime.docker_convert import INSTALLATION

PRESENCE: Final = Path(tempfile.gettempdir()) / "codegen-docker-tests.lock"
#: As ``docker_engine``, ``tests.plugin`` and the milestones name theirs.
_OF_TESTS: Final = re.compile(r"[tm][0-9a-f]{10}")
#: What tests make containers of; others' containers leave volumes, too, and nothing tells whose they are.
_OUR_IMAGES: Final = ("codegen-test-", "codegen-worker", "codegen-debian:", "sha256:")

Traces = dict[str, Mapping[str, str]]


@dataclass(slots=True)
class Presence:
    """Whether other runs of the tests have used the engine since this one began."""

    file: int
    was_alone: bool

    @property
    def is_alone(self) -> bool:
        """Tell whether nobody came since; whoever comes leaves a byte."""
        return self.was_alone and os.fstat(self.file).st_size == 0


@contextmanager
def presence(path: Path = PRESENCE) -> Iterator[Presence]:
    """Be known to other runs of the tests as one that uses the engine."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(file, b".")
            was_alone = False
        else:
            os.ftruncate(file, 0)
            was_alone = True
        fcntl.flock(file, fcntl.LOCK_SH)
        yield Presence(file=file, was_alone=was_alone)
    finally:
        os.close(file)


def traces(client: docker.DockerClient) -> Traces:
    """Return the labels of every container, volume and network by its kind and name."""
    api: Any = client.api
    containers = [(f"container {one['Names']} {one['Id'][:12]}", one) for one in api.containers(all=True)]
    volumes = [(f"volume {one['Name']}", one) for one in api.volumes()["Volumes"] or ()]
    networks = [(f"network {one['Name']} {one['Id'][:12]}", one) for one in api.networks()]
    return {name: one.get("Labels") or {} for name, one in (*containers, *volumes, *networks)}


def has_strangers(client: docker.DockerClient, *, since: float | None = None) -> bool:
    """Tell whether a container is there, or was made since a moment, that is none of the tests.

    The engine remembers its latest events only.
    """
    api: Any = client.api
    words = {"type": "container", "event": "create"}
    made = api.events(since=int(since), until=int(time.time()), filters=words, decode=True) if since else ()
    images = [one["Image"] for one in api.containers(all=True)]
    images += [event["Actor"]["Attributes"].get("image", "") for event in made]
    return any(not image.startswith(_OUR_IMAGES) for image in images)


def left(before: Collection[str], after: Mapping[str, Mapping[str, str]], *, is_alone: bool) -> list[str]:
    """Return what this run must have left.

    Args:
        before: what was there when it began.
        after: what is there at its end.
        is_alone: nobody else used the engine meanwhile.
    """
    return sorted(name for name in after.keys() - set(before) if _is_of_tests(after[name], is_alone))


def _is_of_tests(labels: Mapping[str, str], is_alone: bool) -> bool:
    if INSTALLATION in labels:
        # Another run's are removed by that run.
        return is_alone and _OF_TESTS.fullmatch(labels[INSTALLATION]) is not None
    # Tests label what they make by our own labels or not at all.
    return is_alone and not labels
