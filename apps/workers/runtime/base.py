"""The port to whatever executes workers: specs, observations, errors and the verbs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from apps.errors import Conflict, Invalid, NotFound, Unavailable

#: The user that containers run as.
USER: Final = "worker"
EXEC_SECONDS: Final = 15.0
#: How much of an ``exec``'s output is kept, and how much it may write at all.
EXEC_OUTPUT_BYTES: Final = 100_000
EXEC_FLOOD_BYTES: Final = 16 * 1024**2


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


class ContainerNotRunning(Conflict):
    """The container is not running (any more), so nothing can be done inside it."""

    code = "container_not_running"


class RuntimeFull(RuntimeUnavailable):
    """The runtime's disk is full; somebody has to make room."""

    code = "runtime_disk_full"


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
class HostMount:
    """A path of this machine that an operator allowed into a container."""

    source: Path  # absolute and free of links
    target: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerSpec:
    """One command to run in a place of its own.

    The working directory is fresh, writable and kept until ``remove``. The runtime sets ``HOME``, ``TMPDIR``,
    ``WORKSPACE_DIR`` (the working directory) and ``INPUT_DIR`` unless ``environment`` has them.
    ``orchestrator-worker`` (the worker's wrapper), ``orchestrator``, ``uv`` and ``python3`` are on the PATH
    of every runtime.
    """

    name: str  # derived from the row's id, so that a second attempt adopts
    command: tuple[str, ...]  # visible to everybody on the machine: never a secret
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, Path] = field(default_factory=dict)  # file name in INPUT_DIR → file of ours, copied
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None  # None: the runtime's own default, if it has images at all
    memory_bytes: int = 2 * 1024**3
    cpus: float = 1.0
    pids_limit: int = 256
    network: Network = Network.INTERNAL
    read_only_root: bool = True  # the working directory, home and temporary directory stay writable
    deadline_seconds: float  # after the start; enforced without us
    stop_grace_seconds: float = 10.0  # from SIGTERM to SIGKILL at the deadline
    on_exit: tuple[str, Mapping[str, Any]] | None = None  # Celery task and arguments: a hint, may be lost
    cache: bool = False  # whether a package cache is offered
    #: The command is an init itself: it reaps, forwards signals, and ends at CONTAINER_DEADLINE_SECONDS.
    own_init: bool = False
    home: str | None = None  # name of a home directory that outlives the container; None: a fresh one
    mounts: tuple[HostMount, ...] = ()
    temporary_bytes: int = 1024**3  # what the temporary directory holds, out of the memory
    open_files: int = 16_384
    file_size_bytes: int = 1024**3  # of one file


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
    image: str | None = None  # identity of what it was made from; None: this runtime has no images


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecResult:
    """What a command inside a container did."""

    exit_code: int
    output: str  # of stdout and stderr; its end, if it was long
    is_flood: bool = False  # it wrote more than EXEC_FLOOD_BYTES, and was not listened to any longer


class ContainerRuntime(Protocol):
    """Containers we own, addressed by names we derive.

    Order of calls for one name: ``start`` → any number of ``inspect``,
    ``logs``, ``fetch``, ``exec``, ``pause``, ``unpause``, ``ask_to_stop`` →
    ``remove``. Logs and files can be read after the end and until ``remove``.
    ``remove`` is safe at any moment: before a start, during one, and twice. A
    name may be started anew after it was removed.

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

        A paused container is woken for it. It may refuse: only ``remove`` is certain.

        Raises:
            RuntimeUnavailable: nothing is known; ask again.
        """
        ...

    def pause(self, name: str) -> None:
        """Stop giving it processor time, at once and without its knowledge; paused already is success.

        Raises:
            ContainerNotFound: there is no such container.
            ContainerNotRunning: it has ended or was never started.
            RuntimeUnavailable: it may or may not be paused; ask again.
        """
        ...

    def unpause(self, name: str) -> None:
        """Let a paused container go on; running already is success.

        Raises:
            ContainerNotFound: there is no such container.
            ContainerNotRunning: it has ended or was never started.
            RuntimeUnavailable: it may or may not be paused; ask again.
        """
        ...

    def exec(
        self, name: str, command: Sequence[str], *, user: str = USER, timeout_seconds: float = EXEC_SECONDS
    ) -> ExecResult:
        """Run a short command inside a running container, without the container's secrets.

        Args:
            name: the container.
            command: program and arguments; one that does not exist is exit code 126 or 127.
            user: who runs it; ``worker`` is the container's own user.
            timeout_seconds: after which it is killed, which is an exit code of 124 or 137; so is a flood.

        Raises:
            ContainerNotFound: there is no such container.
            ContainerNotRunning: it is not running, or paused.
            RuntimeUnavailable: nothing is known, in particular not whether it ran.
        """
        ...

    def remove(self, name: str) -> None:
        """Kill whatever lives of it and delete everything it left but a named home; absent is success.

        Raises:
            RuntimeUnavailable: some of it may be left; ask again.
        """
        ...

    def remove_home(self, home: str) -> None:
        """Delete a home directory; absent is success.

        Raises:
            RuntimeUnavailable: it may be left, for example because a container uses it; ask again.
        """
        ...

    def remove_leftovers(self, *, min_age_seconds: float) -> list[str]:
        """Delete what crashed calls left and no container uses; return what it was.

        Never a container that was started, and never a home. What is younger than
        ``min_age_seconds`` may belong to a call that is still at work.

        Raises:
            RuntimeUnavailable: some of it may be left.
        """
        ...

    def disk_use(self) -> Mapping[str, int]:
        """Return the bytes that the files of each running container take, by name.

        Raises:
            RuntimeUnavailable: nothing is known.
        """
        ...

    def list_owned(self) -> list[ContainerState]:
        """Observe every container of ours, whoever started it.

        Raises:
            RuntimeUnavailable: nothing is known, in particular not that there are none.
        """
        ...
