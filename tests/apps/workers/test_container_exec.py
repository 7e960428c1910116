"""Commands inside a container, as the seed's tests call them."""

import uuid
from collections.abc import Iterator

import pytest

from apps.workers.container_exec import exec_in_container
from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.runtime_stages import spec

pytestmark = [pytest.mark.service, pytest.mark.docker]


@pytest.fixture(scope="module")
def runtime() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as found:
        yield found


@pytest.fixture(scope="module")
def container(runtime: DockerRuntime) -> str:
    name = f"worker-{uuid.uuid4()}"
    runtime.start(spec(name))
    return name


def test_exec_in_container_returns_exit_code_and_output(runtime: DockerRuntime, container: str) -> None:
    answer = exec_in_container(container, "echo 'hello world'", runtime=runtime)

    assert answer == (0, "hello world\n")


def test_exec_in_container_handles_failure(runtime: DockerRuntime, container: str) -> None:
    exit_code, output = exec_in_container(container, ["ls", "/no-such-directory"], runtime=runtime)

    assert exit_code == 2
    assert "No such file" in output


def test_exec_in_container_runs_as_the_worker_unless_told(runtime: DockerRuntime, container: str) -> None:
    worker = exec_in_container(container, "id -u", runtime=runtime)
    root = exec_in_container(container, "id -u", user="root", runtime=runtime)

    assert (worker, root) == ((0, "1000\n"), (0, "0\n"))


def test_exec_in_no_container_is_not_found(runtime: DockerRuntime) -> None:
    with pytest.raises(base.ContainerNotFound):
        exec_in_container("worker-none", "true", runtime=runtime)
