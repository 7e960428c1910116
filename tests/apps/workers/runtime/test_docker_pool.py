"""Spare containers: who gets one, what it then has, and what becomes of those that nobody wants."""

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from apps.workers.runtime import base, docker_convert
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_containers import current_name, summaries
from apps.workers.runtime.docker_convert import POOL, Place
from apps.workers.runtime.docker_pool import digest_of
from tests import docker_engine
from tests.runtime_stages import PATIENT, phase_of, spec, wait_for

#: Names are the whole daemon's: other runs of these tests have their own.
NAME = f"worker-{secrets.token_hex(4)}"


def _spec(name: str = NAME, **changes: Any) -> base.ContainerSpec:
    return spec(name, **{"command": ("sh", "-c", PATIENT), "own_init": True, **changes})


@pytest.fixture
def runtime() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as found:
        yield found


def _spares(runtime: DockerRuntime) -> dict[str, str]:
    """Return the names of the spares that nobody has claimed, with their containers."""
    found = summaries(runtime.connection.client(), runtime.installation, POOL)
    return {
        current_name(summary): summary["Id"]
        for summary in found
        if docker_convert.is_spare(summary["Labels"], current_name(summary))
    }


def _keep(runtime: DockerRuntime, count: int, **changes: Any) -> dict[str, str]:
    runtime.keep_spares(_spec("", **changes), count=count)
    return _spares(runtime)


def _container_of(runtime: DockerRuntime, name: str) -> str:
    return str(runtime.connection.client().api.inspect_container(name)["Id"])


@pytest.mark.unit
def test_what_can_be_given_later_does_not_decide_which_spare_fits() -> None:
    one = _spec("worker-1", labels={"run": "1"}, environment={"TOKEN": "a"}, on_exit=("wake", {"id": "1"}))
    other = _spec("worker-2", labels={"run": "2"}, environment={"TOKEN": "b"}, on_exit=("wake", {"id": "2"}))

    digests = {digest_of(one, Place()), digest_of(other, Place())}

    assert len(digests) == 1


@pytest.mark.unit
@pytest.mark.parametrize(
    "changes",
    [
        {"image": "another"},
        {"memory_bytes": 1024**3},
        {"network": base.Network.NONE},
        {"home": "home-1"},
        {"mounts": (base.HostMount(source=Path("/srv"), target="/srv"),)},
        {"on_exit": ("another", {"id": "1"})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_given_later_decides_which_spare_fits(changes: dict[str, Any]) -> None:
    plain = _spec()

    assert digest_of(replace(plain, **changes), Place()) != digest_of(plain, Place())


@pytest.mark.unit
def test_claimed_spare_says_by_its_name_what_others_say_by_labels() -> None:
    labels = {POOL: "d", docker_convert.CONTAINER: "pool-i-d-0", docker_convert.ON_EXIT: '["wake", ["id"]]'}

    claimed = docker_convert.on_exit_of(labels, "worker-7"), docker_convert.own_labels(labels, "worker-7")

    assert claimed == (("wake", {"id": "7"}), {"worker": "7"})
    assert docker_convert.on_exit_of(labels, "pool-i-d-0") is None


@pytest.mark.service
@pytest.mark.docker
def test_start_takes_a_spare_with_its_inputs_and_environment(runtime: DockerRuntime, tmp_path: Path) -> None:
    (spare_id,) = _keep(runtime, 1).values()
    (tmp_path / "orders").write_text("obey")

    runtime.start(_spec(inputs={"orders": tmp_path / "orders"}, environment={"TOKEN": "sesame"}))

    assert _container_of(runtime, NAME) == spare_id
    wait_for(lambda: runtime.exec(NAME, ["test", "-d", f"/inputs/environment.json/{NAME}"]).exit_code == 0)
    assert runtime.exec(NAME, ["cat", "/inputs/orders"]).output == "obey"
    assert "sesame" not in json.dumps(runtime.connection.client().api.inspect_container(NAME))


@pytest.mark.service
@pytest.mark.docker
def test_spare_for_something_else_is_left_alone(runtime: DockerRuntime) -> None:
    spares = _keep(runtime, 1)

    runtime.start(_spec(memory_bytes=256 * 1024**2))

    assert _spares(runtime) == spares
    assert phase_of(runtime, NAME) is base.Phase.RUNNING


@pytest.mark.service
@pytest.mark.docker
def test_spares_are_claimed_once_each(runtime: DockerRuntime) -> None:
    spares = set(_keep(runtime, 2).values())
    names = [f"{NAME}{number}" for number in range(4)]
    threads = [threading.Thread(target=runtime.start, args=(_spec(name),)) for name in names]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    containers = [_container_of(runtime, name) for name in names]
    assert len(set(containers)) == 4
    assert spares < set(containers)
    assert [state.name for state in runtime.list_owned()] == names


@pytest.mark.service
@pytest.mark.docker
def test_spare_that_was_renamed_and_forgotten_gets_its_environment_by_the_next_start(
    runtime: DockerRuntime,
) -> None:
    (name,) = _keep(runtime, 1)
    runtime.connection.client().api.rename(name, NAME)

    runtime.start(_spec(environment={"TOKEN": "sesame"}))

    wait_for(lambda: runtime.exec(NAME, ["test", "-d", f"/inputs/environment.json/{NAME}"]).exit_code == 0)
    assert phase_of(runtime, NAME) is base.Phase.RUNNING


@pytest.mark.service
@pytest.mark.docker
def test_second_delivery_leaves_no_secret_behind(runtime: DockerRuntime) -> None:
    _keep(runtime, 1)
    runtime.start(_spec(environment={"TOKEN": "sesame"}))
    wait_for(lambda: runtime.exec(NAME, ["test", "-d", f"/inputs/environment.json/{NAME}"]).exit_code == 0)

    runtime.start(_spec(environment={"TOKEN": "sesame"}))

    assert runtime.exec(NAME, ["find", "/inputs/environment.json", "-type", "f"]).output == ""


@pytest.mark.service
@pytest.mark.docker
def test_spares_are_no_workers(runtime: DockerRuntime) -> None:
    spares = _keep(runtime, 1)

    runtime.remove_leftovers(min_age_seconds=0)

    assert runtime.list_owned() == []
    assert _spares(runtime) == spares


@pytest.mark.service
@pytest.mark.docker
def test_spares_that_are_not_wanted_any_more_go(runtime: DockerRuntime) -> None:
    first = _keep(runtime, 2)
    runtime.start(_spec())

    other = _keep(runtime, 1, memory_bytes=256 * 1024**2)

    assert len(first) == 2
    assert len(other) == 1
    assert not set(other) & set(first)
    assert _keep(runtime, 0) == {}
    assert phase_of(runtime, NAME) is base.Phase.RUNNING


@pytest.mark.service
@pytest.mark.docker
def test_dead_spare_is_replaced(runtime: DockerRuntime) -> None:
    ((name, dead),) = _keep(runtime, 1).items()
    runtime.connection.client().api.kill(name)

    again = _keep(runtime, 1)

    assert list(again) == [name]
    assert again[name] != dead


@pytest.mark.service
@pytest.mark.docker
def test_claimed_spare_is_removed_with_its_volumes(runtime: DockerRuntime) -> None:
    _keep(runtime, 1)
    runtime.start(_spec())

    runtime.remove(NAME)

    client = runtime.connection.client()
    volumes = client.api.volumes(filters={"label": [f"codegen.installation={runtime.installation}"]})
    assert (runtime.list_owned(), volumes["Volumes"] or []) == ([], [])
    with pytest.raises(APIError):
        client.api.inspect_container(NAME)
