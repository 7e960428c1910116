"""The check that the tests leave nothing on the Docker engine sees what they could leave."""

import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from apps.workers.runtime.docker_convert import INSTALLATION
from tests import docker_engine, docker_traces
from tests.docker_traces import left, presence

OF_A_TEST = {INSTALLATION: "t0123456789"}
OF_A_STACK = {INSTALLATION: "0123456789ab"}


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker_engine.client()
    yield client
    client.close()


@pytest.mark.unit
def test_what_a_run_alone_has_made_is_its_own() -> None:
    after = {
        "volume old": {},
        "volume a": {},
        "container b": OF_A_TEST,
        "network c": OF_A_STACK,
        "volume d": {"com.docker.compose.project": "x"},
    }

    found = left(["volume old"], after, is_alone=True)

    assert found == ["container b", "volume a"]


@pytest.mark.unit
def test_what_others_may_have_made_is_nobodys_fault() -> None:
    found = left([], {"volume a": {}, "container b": OF_A_TEST}, is_alone=False)

    assert found == []


@pytest.mark.unit
def test_run_that_met_another_is_not_alone(tmp_path: Path) -> None:
    with presence(tmp_path / "lock") as first:
        at_first = first.is_alone
        with presence(tmp_path / "lock") as second:
            both = first.is_alone or second.is_alone
        afterwards = first.is_alone
    with presence(tmp_path / "lock") as third:
        later = third.is_alone

    assert (at_first, both, afterwards, later) == (True, False, False, True)


@pytest.mark.service
@pytest.mark.docker
def test_volume_without_a_name_is_seen(engine: docker.DockerClient) -> None:
    began, before = time.time(), docker_traces.traces(engine)
    container = engine.containers.create(docker_engine.small_image(), ["true"], volumes=["/workspace"])
    name = container.attrs["Mounts"][0]["Name"]
    during = docker_traces.traces(engine)
    container.remove()

    found = left(before, docker_traces.traces(engine), is_alone=True)

    engine.volumes.get(name).remove()
    assert any(trace.startswith("container") for trace in during.keys() - before.keys())
    assert f"volume {name}" in found
    assert isinstance(docker_traces.has_strangers(engine, since=began), bool)
