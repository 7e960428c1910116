"""The port to whatever executes workers: specs, observations, errors and the verbs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from apps.errors import Invalid, NotFound, Unavailable


class RuntimeUnavailable(Unavailable):
    """The runtime does not answer; nothing is known about any container."""

    code = "runtime_unavailable"


class ImageMissing(Invalid):
    """The container's image does not exist here and will not appear by itself."""

    code = "image_missing"


class ContainerRefused(Invalid):
    """The runtime can never start a container like this."""

    code = "container_refused"


class ContainerNotFound(NotFound):
    """There is no container of that name."""

    code = "container_not_found"


class ContainerFileNotFound(NotFound):
    """The container has not written a file of that name."""

    code = "container_file_not_found"


class ContainerFileRefused(Invalid):
    """The container's file is too large, a link, or not a plain file."""

    code = "container_file_refused"


class Phase(StrEnum):
    """What was observed of a container; our own statuses are made of it in ``outcomes`` only."""

    CREATED = "created"  # it exists and its command has not been started yet
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"  # it ended, and its exit code is known
    UNKNOWN = "unknown"  # it is gone and nobody recorded how: neither a success nor an exit code


class Network(StrEnum):
    """What a container may talk to."""

    NONE = "none"
    INTERNAL = "internal"  # the control plane's own services for workers
    EGRESS = "egress"  # these and, through a proxy, public addresses


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerSpec:
    """One command to run in a place of its own.

    The working directory is fresh, writable and kept until ``remove``. The
    runtime sets ``HOME``, ``TMPDIR``, ``WORKSPACE_DIR`` (the working directory)
    and ``INPUT_DIR`` unless ``environment`` has them. ``orchestrator-worker``
    (the worker's wrapper), ``orchestrator``, ``uv`` and ``python3`` are on the
    PATH of every runtime.
    """

    name: str  # derived from the row's id, so that a second attempt adopts
    command: tuple[str, ...]  # visible to everybody on the machine: never a secret
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, Path] = field(default_factory=dict)  # file name in INPUT_DIR → file of ours, copied
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None  # None where the runtime has no images
    memory_bytes: int = 2 * 1024**3
    cpus: float = 1.0
    pids_limit: int = 256
    network: Network = Network.INTERNAL
    read_only_root: bool = True  # the working directory, home and temporary directory stay writable
    home: str | None = None  # name of a home directory that outlives the container; None: a fresh one
    deadline_seconds: float  # after the start; enforced without us
    stop_grace_seconds: float = 10.0  # from SIGTERM to SIGKILL at the deadline
    on_exit: tuple[str, Mapping[str, Any]] | None = None  # Celery task and arguments: a hint, may be lost
    cache: bool = False  # whether a package cache is offered


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerState:
    """One container as it was observed."""

    name: str
    phase: Phase
    exit_code: int | None = None  # 128 + n if signal n ended it; None unless exited
    oom_killed: bool | None = None  # None: this runtime cannot tell
    timed_out: bool = False  # its deadline passed before it ended
    started_at: datetime | None = None
    finished_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class ContainerRuntime(Protocol):
    """Containers we own, addressed by names we derive.

    Order of calls for one name: ``start`` → any number of ``inspect``,
    ``logs``, ``fetch``, ``ask_to_stop`` → ``remove``. Logs and files can be
    read after the end and until ``remove``. ``remove`` is safe at any moment:
    before a start, during one, and twice. A name may be started anew after it
    was removed.

    Every verb may be called by any number of processes and threads at once,
    and again after any failure, the caller's death included: each looks at what
    is there and remembers nothing. Two simultaneous starts of one name make one
    container. No verb waits for a container's work; ``remove`` waits for its
    death, which takes seconds at most.

    Not found and could not ask are different: ``inspect`` answers None only if
    the runtime said that there is no such container. Whoever could not ask gets
    ``RuntimeUnavailable``, which says nothing about the container.
    """

    def start(self, spec: ContainerSpec) -> None:
        """Create and start a container, or adopt the one of that name; a finished one is not run again.

        Raises:
            RuntimeUnavailable: it may or may not have been started; ask again.
            ImageMissing: the image is not there.
            ContainerRefused: the spec can never work, for example an input is not a file.
        """
        ...

    def inspect(self, name: str) -> ContainerState | None:
        """Observe a container; None means that there is none.

        Raises:
            RuntimeUnavailable: nothing is known.
        """
        ...

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of what it wrote to stdout and stderr; the middle of a flood is not kept.

        Raises:
            ContainerNotFound: there is no such container.
            RuntimeUnavailable: nothing is known.
        """
        ...

    def fetch(self, name: str, path: str, *, limit_bytes: int) -> bytes:
        """Return a plain file from its working directory, without following any link.

        Raises:
            ContainerNotFound: there is no such container.
            ContainerFileNotFound: it has no such file.
            ContainerFileRefused: the file is too large, a link, or not a plain file.
            RuntimeUnavailable: nothing is known.
        """
        ...

    def ask_to_stop(self, name: str) -> None:
        """Send SIGTERM to its command and return at once; ended or absent is success.

        It may refuse: only ``remove`` is certain.

        Raises:
            RuntimeUnavailable: nothing is known; ask again.
        """
        ...

    def remove(self, name: str) -> None:
        """Kill whatever lives of it and delete everything it left; absent is success.

        Raises:
            RuntimeUnavailable: some of it may be left; ask again.
        """
        ...

    def list_owned(self) -> list[ContainerState]:
        """Observe every container of ours, whoever started it.

        Raises:
            RuntimeUnavailable: nothing is known, in particular not that there are none.
        """
        ...
