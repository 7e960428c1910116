"""A runtime in memory for tests, which polices the order of calls.

Tests play the container and the machine: ``finish``, ``vanish``, ``say``,
``write``, ``is_down``. What the port forbids fails the test that did it.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from apps.workers.runtime import base
from apps.workers.runtime.ends import LOST

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGTERM_EXIT = 143
#: What a container runs whose spec names no image.
DEFAULT_IMAGE = "sha256:default"
ALIVE = frozenset({base.Phase.RUNNING, base.Phase.PAUSED})


class ForbiddenCall(AssertionError):
    """The port's docstring rules this call out."""


@dataclass
class _Container:
    spec: base.ContainerSpec
    state: base.ContainerState
    inputs: dict[str, bytes]
    log: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)


class FakeRuntime:
    """The ``ContainerRuntime`` in memory.

    Attributes:
        is_down: every verb answers RuntimeUnavailable and does nothing.
        fails_after: verbs that do their work and then answer RuntimeUnavailable once,
            as if the answer had been lost.
        is_unstartable: the daemon died as it started a container, and cannot take it again.
        is_cut_off: the next start makes a container that it does not get to start, and nobody comes back.
        images: what exists; None means that any image does.
        ignores_sigterm: whether containers survive being asked to stop.
        calls: (verb, name) of everything that was asked, in order.
        started: names of the containers that were really created, in order.
        homes: the homes that exist.
        executed: (name, command, user) of everything that was executed inside a container.
        answers: what commands inside containers answer; ``(0, "")`` unless told.
        leftovers: what crashed calls have left behind.
        disk: the bytes that containers' files take.
    """

    def __init__(self) -> None:
        self.is_down = False
        self.fails_after: set[str] = set()
        self.is_unstartable = False
        self.is_cut_off = False
        self.images: set[str] | None = None
        self.ignores_sigterm = False
        self.calls: list[tuple[str, str]] = []
        self.started: list[str] = []
        self.homes: set[str] = set()
        self.executed: list[tuple[str, tuple[str, ...], str]] = []
        self.answers: dict[tuple[str, ...], base.ExecResult] = {}
        self.leftovers: list[str] = []
        self.disk: dict[str, int] = {}
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self._now = MOMENT

    # The port.

    def start(self, spec: base.ContainerSpec) -> None:
        with self._call("start", spec.name):
            if (existing := self._containers.get(spec.name)) is not None:
                self._adopt(existing, spec)
                return
            if spec.home is not None:
                self.homes.add(spec.home)
            self._require_startable(spec)
            inputs = {name: source.read_bytes() for name, source in spec.inputs.items()}
            self._containers[spec.name] = container = _Container(spec, self._running(spec), inputs)
            self.started.append(spec.name)
            if self.is_cut_off:
                self.is_cut_off = False
                container.state = replace(container.state, phase=base.Phase.CREATED, started_at=None)
                raise base.RuntimeUnavailable("the daemon died meanwhile")

    def inspect(self, name: str) -> base.ContainerState | None:
        with self._call("inspect", name):
            container = self._containers.get(name)
            return None if container is None else container.state

    def logs(self, name: str, *, tail_bytes: int) -> str:
        with self._call("logs", name):
            content = self._existing(name).log
            return content[-tail_bytes:].decode(errors="replace") if tail_bytes > 0 else ""

    def fetch(self, name: str, path: str, *, limit_bytes: int) -> bytes:
        with self._call("fetch", name):
            container = self._existing(name)
            if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise base.ContainerFileRefused("path must be relative and plain")
            if path not in container.files:
                raise base.ContainerFileNotFound(details={"path": path})
            if len(container.files[path]) > limit_bytes:
                raise base.ContainerFileRefused(f"larger than {limit_bytes} bytes")
            return container.files[path]

    def ask_to_stop(self, name: str) -> None:
        with self._call("ask_to_stop", name):
            container = self._containers.get(name)
            if container is not None and container.state.phase in ALIVE and not self.ignores_sigterm:
                self._end(container, exit_code=SIGTERM_EXIT)

    def pause(self, name: str) -> None:
        with self._call("pause", name):
            container = self._alive(name)
            container.state = replace(container.state, phase=base.Phase.PAUSED)

    def unpause(self, name: str) -> None:
        with self._call("unpause", name):
            container = self._alive(name)
            container.state = replace(container.state, phase=base.Phase.RUNNING)

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        user: str = base.USER,
        timeout_seconds: float = base.EXEC_SECONDS,
    ) -> base.ExecResult:
        with self._call("exec", name):
            if self._alive(name).state.phase is base.Phase.PAUSED:
                raise base.ContainerNotRunning(details={"name": name})
            self.executed.append((name, tuple(command), user))
            return self.answers.get(tuple(command), base.ExecResult(exit_code=0, output=""))

    def remove(self, name: str) -> None:
        with self._call("remove", name):
            self._containers.pop(name, None)

    def remove_home(self, home: str) -> None:
        with self._call("remove_home", home):
            self.homes.discard(home)

    def remove_leftovers(self, *, min_age_seconds: float) -> list[str]:
        with self._call("remove_leftovers", ""):
            gone, self.leftovers = self.leftovers, []
            return gone

    def disk_use(self) -> Mapping[str, int]:
        with self._call("disk_use", ""):
            alive = {name for name, found in self._containers.items() if found.state.phase in ALIVE}
            return {name: used for name, used in self.disk.items() if name in alive}

    def list_owned(self) -> list[base.ContainerState]:
        with self._call("list_owned", ""):
            return [container.state for _, container in sorted(self._containers.items())]

    # What tests do to it.

    def finish(
        self, name: str, exit_code: int = 0, *, oom_killed: bool = False, timed_out: bool = False
    ) -> None:
        """Let a running container end."""
        with self._lock:
            container = self._running_container(name)
            self._end(container, exit_code=exit_code, oom_killed=oom_killed, timed_out=timed_out)

    def lose(self, name: str) -> None:
        """Let a running container end without a record of how."""
        with self._lock:
            container = self._running_container(name)
            container.state = replace(container.state, phase=base.Phase.UNKNOWN)

    def vanish(self, name: str) -> None:
        """Delete a container behind everybody's back."""
        with self._lock:
            del self._containers[name]

    def say(self, name: str, text: str) -> None:
        """Let a running container write to its log."""
        with self._lock:
            self._running_container(name).log += text.encode()

    def write(self, name: str, path: str, content: bytes) -> None:
        """Let a running container write a file in its working directory."""
        with self._lock:
            self._running_container(name).files[path] = content

    def spec_of(self, name: str) -> base.ContainerSpec:
        """Return what a container was started with."""
        with self._lock:
            return self._containers[name].spec

    def inputs_of(self, name: str) -> dict[str, bytes]:
        """Return what a container was given."""
        with self._lock:
            return self._containers[name].inputs

    @contextmanager
    def _call(self, verb: str, name: str) -> Iterator[None]:
        with self._lock:
            self.calls.append((verb, name))
            if self.is_down:
                raise base.RuntimeUnavailable
            yield
            if verb in self.fails_after:
                self.fails_after.discard(verb)
                raise base.RuntimeUnavailable("the answer was lost")

    def _adopt(self, existing: _Container, spec: base.ContainerSpec) -> None:
        if _identity(existing.spec) != _identity(spec):
            raise ForbiddenCall(f"{spec.name} was started with two different specs; names are derived")
        if self.is_unstartable:
            raise base.ContainerRefused("the daemon died as it started it", code=LOST)
        if existing.state.phase is base.Phase.CREATED:
            existing.state = self._running(spec)

    def _require_startable(self, spec: base.ContainerSpec) -> None:
        if self.images is not None and spec.image not in self.images:
            raise base.ImageMissing(details={"image": spec.image})
        for name, source in spec.inputs.items():
            if not source.is_file():
                raise base.ContainerRefused("an input is not a file", details={"inputs": name})
        if not spec.command:
            raise base.ContainerRefused("a container needs a command")

    def _existing(self, name: str) -> _Container:
        if name not in self._containers:
            raise base.ContainerNotFound(details={"name": name})
        return self._containers[name]

    def _alive(self, name: str) -> _Container:
        container = self._existing(name)
        if container.state.phase not in ALIVE:
            raise base.ContainerNotRunning(details={"name": name})
        return container

    def _running_container(self, name: str) -> _Container:
        container = self._existing(name)
        if container.state.phase is not base.Phase.RUNNING:
            raise ForbiddenCall(f"the test lets {name} act, but it is {container.state.phase}")
        return container

    def _running(self, spec: base.ContainerSpec) -> base.ContainerState:
        return base.ContainerState(
            name=spec.name,
            phase=base.Phase.RUNNING,
            started_at=self._tick(),
            labels=spec.labels,
            image=spec.image or DEFAULT_IMAGE,
        )

    def _end(
        self, container: _Container, *, exit_code: int, oom_killed: bool = False, timed_out: bool = False
    ) -> None:
        container.state = replace(
            container.state,
            phase=base.Phase.EXITED,
            exit_code=exit_code,
            oom_killed=oom_killed,
            timed_out=timed_out,
            finished_at=self._tick(),
        )

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def _identity(spec: base.ContainerSpec) -> base.ContainerSpec:
    """Leave out where the inputs lie: each attempt may bring its own copies."""
    return replace(spec, inputs=dict.fromkeys(spec.inputs, Path()))
