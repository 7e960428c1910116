"""Runtimes with the power to make their containers act, for tests of what every runtime must do."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from apps.units import layout, toolchain
from apps.units.supervisor import Units
from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.process import ProcessRuntime
from tests.fakes_runtime import FakeRuntime

#: Names of containers. They are the daemon's, not the installation's: other runs of the tests have others.
_RUN = secrets.token_hex(4)
ONE, TWO, THREE, FOUR, CHECK = (
    *(f"worker-{_RUN}-{number}" for number in (1, 2, 3, 4)),
    f"check-{_RUN}",
)

#: Does what it finds in a file ``todo``, until it is told to exit.
OBEDIENT = """
trap 'exit 143' TERM
touch ready
while :; do
    if [ -f todo ]; then mv todo doing; . ./doing; rm -f doing; fi
    sleep 0.01
done
"""

#: As well, and first, if it is to be a spare, it waits until it is given an environment.
PATIENT = f"""
if [ "$0" = --wait ]; then
    given=/inputs/environment.json
    until grep -q '}}}}$' $given 2>/dev/null; do sleep 0.01; done
    name=$(sed 's/.*"name": "\\([^"]*\\)".*/\\1/' $given)
    rm -f $given && mkdir -p "$given/$name"
fi
{OBEDIENT}"""


class Stage(Protocol):
    """A runtime, and the power to make its containers act."""

    runtime: base.ContainerRuntime
    outside: str  # a path that leaves the working directory, where a file of the runtime's own is

    def finish(self, name: str, code: int) -> None: ...
    def say(self, name: str, text: str) -> None: ...
    def write(self, name: str, path: str, content: str) -> None: ...


class FakeStage:
    """The fake acts when it is told to."""

    outside = "../process.json"

    def __init__(self) -> None:
        self.fake = FakeRuntime()
        self.runtime: base.ContainerRuntime = self.fake

    def finish(self, name: str, code: int) -> None:
        self.fake.finish(name, code)

    def say(self, name: str, text: str) -> None:
        self.fake.say(name, text)

    def write(self, name: str, path: str, content: str) -> None:
        self.fake.write(name, path, content.encode())

    def lose(self, name: str) -> None:
        self.fake.lose(name)


class ProcessStage:
    """A real unit runs a script that obeys."""

    outside = "../process.json"

    def __init__(self, place: Path) -> None:
        self.units = Units(place / "units", cache=place / "cache")
        tools = toolchain.prepare(place / "bin")
        self.runtime: base.ContainerRuntime = ProcessRuntime(self.units, tools=tools, outer={})

    def finish(self, name: str, code: int) -> None:
        self._tell(name, f"exit {code}")
        wait_for(lambda: phase_of(self.runtime, name) is base.Phase.EXITED)

    def say(self, name: str, text: str) -> None:
        before = self.runtime.logs(name, tail_bytes=10**6)
        self._tell(name, f"printf %s '{text}'")
        wait_for(lambda: self.runtime.logs(name, tail_bytes=10**6) == before + text)

    def write(self, name: str, path: str, content: str) -> None:
        work = self.units.work_directory(name)
        self._tell(
            name, f"mkdir -p $(dirname {path}); printf %s '{content}' > {path}.new; mv {path}.new {path}"
        )
        wait_for(lambda: (work / path).exists())

    def lose(self, name: str) -> None:
        self.finish(name, 0)
        wait_for(lambda: not layout.is_locked(str(self.units.directory / name), layout.SHIM_LOCK))
        (self.units.directory / name / layout.EXIT).unlink()

    def _tell(self, name: str, order: str) -> None:
        work = self.units.work_directory(name)
        wait_for(lambda: (work / "ready").exists() and not (work / "todo").exists())
        (work / "order").write_text(order)
        (work / "order").chmod(0o644)
        (work / "order").rename(work / "todo")


class DockerStage:
    """A real container runs a script that obeys."""

    outside = "../etc/hostname"

    def __init__(self, runtime: DockerRuntime) -> None:
        self.docker = runtime
        self.runtime: base.ContainerRuntime = runtime

    def finish(self, name: str, code: int) -> None:
        self._tell(name, f"exit {code}")
        wait_for(lambda: phase_of(self.runtime, name) is base.Phase.EXITED)

    def say(self, name: str, text: str) -> None:
        before = self.runtime.logs(name, tail_bytes=10**6)
        self._tell(name, f"printf %s '{text}'")
        wait_for(lambda: self.runtime.logs(name, tail_bytes=10**6) == before + text)

    def write(self, name: str, path: str, content: str) -> None:
        self._do(
            name, f"mkdir -p $(dirname {path}); printf %s '{content}' > {path}.new; mv {path}.new {path}"
        )

    def _tell(self, name: str, order: str) -> None:
        wait = "while [ ! -e ready ] || [ -e todo ]; do sleep 0.01; done"
        script = f'{wait}; printf "%s" "$1" > order; mv order todo'
        done = self.runtime.exec(name, ["sh", "-c", script, "sh", order])
        # An order to end is obeyed at once, and whatever runs in the container is killed with it.
        assert done.exit_code in {0, 137}, done.output

    def _do(self, name: str, script: str) -> None:
        done = self.runtime.exec(name, ["sh", "-c", script])
        assert done.exit_code == 0, done.output


class SpareRuntime(DockerRuntime):
    """Containers that obey come from a spare that was started before, unless they have labels to keep.

    A spare's labels are those it was made with; its name tells the rest, see ``test_docker_pool``.
    """

    def start(self, spec: base.ContainerSpec) -> None:
        """Start a spare first, unless the container is there."""
        if spec.command == ("sh", "-c", OBEDIENT) and not spec.labels:
            spec = replace(spec, command=("sh", "-c", PATIENT), own_init=True)
            if self.inspect(spec.name) is None:
                self.keep_spares(spec, count=1)
        super().start(spec)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def phase_of(runtime: base.ContainerRuntime, name: str) -> base.Phase | None:
    state = runtime.inspect(name)
    return None if state is None else state.phase


def spec(name: str = "worker-1", **changes: Any) -> base.ContainerSpec:
    plain = base.ContainerSpec(name=name, command=("sh", "-c", OBEDIENT), deadline_seconds=60)
    return replace(plain, **changes)
