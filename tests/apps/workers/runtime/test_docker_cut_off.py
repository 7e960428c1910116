"""A daemon that is killed as it starts a container: what it made can never be started again."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from apps.errors import OrchestratorError
from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.own_daemon import OwnDaemon, own_daemon

pytestmark = [pytest.mark.integration, pytest.mark.docker]

_TRIES = 12


@pytest.fixture
def daemon() -> Iterator[OwnDaemon]:
    with own_daemon() as made:
        yield made


def killed_while_starting(daemon: OwnDaemon, runtime: DockerRuntime, spec: base.ContainerSpec) -> bool:
    """Tell whether the daemon was killed between making and starting a container."""

    def start() -> None:
        with suppress(OrchestratorError):
            runtime.start(spec)

    starting = threading.Thread(target=start)
    starting.start()
    while (state := inspected(runtime, spec.name)) is None:
        time.sleep(0.005)
    time.sleep(0.08)
    daemon.end(gently=False)
    starting.join()
    daemon.start()
    state = runtime.inspect(spec.name)
    return state is not None and state.phase is base.Phase.CREATED


def inspected(runtime: DockerRuntime, name: str) -> base.ContainerState | None:
    with suppress(base.RuntimeUnavailable):
        return runtime.inspect(name)
    return None


@pytest.mark.timeout(300)
def test_container_that_its_daemon_cannot_take_again_is_lost_and_can_be_removed(daemon: OwnDaemon) -> None:
    daemon.take_images([docker_engine.small_image()])
    runtime = DockerRuntime(installation="cut-off", address=daemon.address)
    codes = []
    for number in range(_TRIES):
        spec = spec_of(number)
        try:
            if killed_while_starting(daemon, runtime, spec):
                runtime.start(spec)
        except base.ContainerRefused as error:
            codes.append(error.error_code)
        runtime.remove(spec.name)
        if codes:
            break

    assert codes == ["container_lost"]
    assert runtime.list_owned() == []


def spec_of(number: int) -> base.ContainerSpec:
    return base.ContainerSpec(
        name=f"worker-{number}",
        command=("sleep", "600"),
        image=docker_engine.small_image(),
        network=base.Network.NONE,
        deadline_seconds=600,
    )
