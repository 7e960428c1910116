"""What only a daemon's containers can show: strangers, half-made starts, limits, and what is left behind."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from apps.workers.runtime import base, docker_containers, docker_convert, docker_files
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.runtime_stages import phase_of, spec, wait_for

pytestmark = [pytest.mark.service, pytest.mark.docker]

MIB = 1024**2


@pytest.fixture(scope="module")
def shared() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as runtime:
        yield runtime


@pytest.fixture
def runtime(shared: DockerRuntime) -> Iterator[DockerRuntime]:
    yield shared
    for state in shared.list_owned():
        shared.remove(state.name)


@pytest.fixture
def name() -> str:
    """A name that no other test run uses: it is the daemon's, not the installation's."""
    return f"worker-{uuid.uuid4()}"


def test_command_that_holds_its_own_deadline_is_left_behind_in_time(
    runtime: DockerRuntime, name: str
) -> None:
    runtime.start(spec(name, command=("sleep", "60")))
    began = time.monotonic()

    with pytest.raises(base.RuntimeUnavailable):
        runtime.exec(name, ["sh", "-c", "kill -STOP $PPID; sleep 60"], timeout_seconds=1)

    assert time.monotonic() - began < 40


def wait_for_end(runtime: DockerRuntime, name: str) -> base.ContainerState:
    wait_for(lambda: phase_of(runtime, name) is base.Phase.EXITED)
    state = runtime.inspect(name)
    assert state is not None
    return state


def volumes_of(client: docker.DockerClient, runtime: DockerRuntime) -> list[str]:
    words = {"label": f"codegen.installation={runtime.installation}"}
    return [volume.name for volume in client.volumes.list(filters=words)]


def half_made(runtime: DockerRuntime, wanted: base.ContainerSpec, *, is_renamed: bool) -> str:
    """Leave what a start leaves that dies in the middle."""
    client = runtime.connection.client()
    runtime.gateway()
    place = docker_convert.Place(installation=runtime.installation, default_image=docker_engine.small_image())
    passing = wanted.name if is_renamed else f"{wanted.name}.dead"
    container_id = docker_containers.create(
        client, docker_convert.run_keywords(wanted, place) | {"name": passing}
    )
    docker_files.put_inputs(client, container_id, wanted.inputs if is_renamed else {})
    return container_id


def test_name_that_a_stranger_has_is_refused_and_left_alone(runtime: DockerRuntime, name: str) -> None:
    client = runtime.connection.client()
    stranger = client.containers.create(docker_engine.small_image(), ["true"], name=name)

    try:
        with pytest.raises(base.ContainerRefused) as refusal:
            runtime.start(spec(name))
        runtime.remove(name)

        assert refusal.value.error_code == "container_name_taken"
        assert runtime.inspect(name) is None
        assert client.containers.get(name).id == stranger.id
    finally:
        stranger.remove(v=True, force=True)


def test_start_that_died_before_it_was_complete_is_made_anew(
    runtime: DockerRuntime, name: str, tmp_path: Path
) -> None:
    (tmp_path / "input").write_text("whole")
    wanted = spec(name, command=("sh", "-c", "cat $INPUT_DIR/input"), inputs={"input": tmp_path / "input"})
    half_made(runtime, wanted, is_renamed=False)

    runtime.start(wanted)

    assert wait_for_end(runtime, name).exit_code == 0
    assert runtime.logs(name, tail_bytes=100) == "whole"
    runtime.remove(name)
    assert volumes_of(runtime.connection.client(), runtime) == []


def test_start_that_died_before_the_command_began_is_finished(
    runtime: DockerRuntime, name: str, tmp_path: Path
) -> None:
    (tmp_path / "input").write_text("whole")
    wanted = spec(name, command=("sh", "-c", "cat $INPUT_DIR/input"), inputs={"input": tmp_path / "input"})
    container_id = half_made(runtime, wanted, is_renamed=True)
    assert phase_of(runtime, name) is base.Phase.CREATED

    runtime.start(wanted)

    assert wait_for_end(runtime, name).exit_code == 0
    assert runtime.logs(name, tail_bytes=100) == "whole"
    assert runtime.connection.client().containers.get(name).id == container_id


def test_leftovers_are_removed_and_nothing_else(runtime: DockerRuntime, name: str) -> None:
    client = runtime.connection.client()
    runtime.start(spec(name))
    half_made(runtime, spec(f"{name}-2"), is_renamed=False)
    labels = {"codegen.installation": runtime.installation}
    lost = client.volumes.create(labels=labels)
    home = client.volumes.create(labels={**labels, "codegen.home": "home-1"})

    early = runtime.remove_leftovers(min_age_seconds=3600)
    gone = runtime.remove_leftovers(min_age_seconds=0)

    assert early == []
    assert set(gone) == {f"{name}-2.dead", lost.name}
    assert phase_of(runtime, name) is base.Phase.RUNNING
    home.remove()


def test_removal_leaves_no_volume(runtime: DockerRuntime, name: str) -> None:
    runtime.start(spec(name))
    during = volumes_of(runtime.connection.client(), runtime)

    runtime.remove(name)

    assert len(during) == 3
    assert volumes_of(runtime.connection.client(), runtime) == []


def test_network_that_somebody_removed_is_made_again(name: str) -> None:
    with docker_engine.installation() as runtime:
        runtime.gateway()
        client = runtime.connection.client()
        client.networks.get(f"codegen-{runtime.installation}").remove()

        runtime.start(spec(name))

        assert phase_of(runtime, name) is base.Phase.RUNNING


def test_dissolved_installation_leaves_nothing(name: str) -> None:
    with docker_engine.installation() as runtime:
        runtime.start(spec(name, home="home-1"))

        runtime.dissolve(keep_homes=False)

        client = docker_engine.client()
        with pytest.raises(NotFound):
            client.networks.get(f"codegen-{runtime.installation}")
        assert runtime.list_owned() == []
        assert volumes_of(client, runtime) == []
        client.close()


def test_network_goes_with_whatever_is_still_on_it(name: str) -> None:
    with docker_engine.installation() as runtime:
        runtime.start(spec(name))
        client = docker_engine.client()
        network = client.networks.get(f"codegen-{runtime.installation}")
        image = client.containers.get(docker_name_of(client, runtime)).image
        guest = client.containers.run(
            image, ["sleep", "60"], entrypoint="", detach=True, network=network.name, labels={}
        )
        try:
            runtime.dissolve(keep_homes=False)

            with pytest.raises(NotFound):
                client.networks.get(network.id)
        finally:
            guest.remove(force=True, v=True)
            client.close()


def docker_name_of(client: docker.DockerClient, runtime: DockerRuntime) -> str:
    network = client.networks.get(f"codegen-{runtime.installation}")
    return next(iter(network.attrs["Containers"]))


def test_image_that_does_not_exist_is_missing(runtime: DockerRuntime, name: str) -> None:
    with pytest.raises(base.ImageMissing):
        runtime.start(spec(name, image="codegen-no-such-image:1"))

    assert runtime.inspect(name) is None
    assert volumes_of(runtime.connection.client(), runtime) == []


def test_program_that_does_not_exist_is_refused_or_its_exit_code(runtime: DockerRuntime, name: str) -> None:
    runtime.start(spec(name, command=("no-such-program",)))

    assert wait_for_end(runtime, name).exit_code == 127
    with pytest.raises(base.ContainerRefused):
        runtime.start(spec(f"{name}-2", command=("no-such-program",), own_init=True))


def test_memory_that_ran_out_is_seen(runtime: DockerRuntime, name: str) -> None:
    eat = ("sh", "-c", "head -c 200m /dev/zero | tail")

    runtime.start(spec(name, command=eat, memory_bytes=32 * MIB))

    state = wait_for_end(runtime, name)
    assert state.oom_killed
    assert state.exit_code != 0


def test_limits_are_visible_on_the_container(runtime: DockerRuntime, name: str) -> None:
    runtime.start(spec(name, memory_bytes=512 * MIB, cpus=0.5, pids_limit=64))

    host: dict[str, Any] = runtime.connection.client().containers.get(name).attrs["HostConfig"]

    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (512 * MIB, 500_000_000, 64)
    assert host["ReadonlyRootfs"]
    assert host["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "2"}


def test_flood_of_output_is_bounded_and_its_end_is_kept(runtime: DockerRuntime, name: str) -> None:
    flood = ("sh", "-c", "yes 0123456789 | head -c 8000000; echo the-end")

    runtime.start(spec(name, command=flood))

    wait_for_end(runtime, name)
    text = runtime.logs(name, tail_bytes=10**8)
    assert len(text) < 3 * MIB
    assert text.endswith("the-end\n")


def test_ten_thousand_processes_are_bounded(runtime: DockerRuntime, name: str) -> None:
    bomb = "i=0; while [ $i -lt 10000 ]; do sleep 60 & i=$((i + 1)); done; wait"
    runtime.start(spec(name, command=("sh", "-c", f"({bomb}); ({bomb}); wait; sleep 60"), pids_limit=64))
    runtime.start(spec(f"{name}-2"))
    client = runtime.connection.client()

    wait_for(lambda: "fork" in runtime.logs(name, tail_bytes=1000))
    running = client.api.top(name) if phase_of(runtime, name) is base.Phase.RUNNING else {"Processes": []}
    beside = runtime.exec(f"{name}-2", ["echo", "fine"])
    began = time.monotonic()
    runtime.remove(name)

    assert len(running["Processes"]) <= 64
    assert beside.output == "fine\n"
    assert time.monotonic() - began < 20


def test_command_in_a_container_without_processes_to_spare_is_an_error_of_ours(
    runtime: DockerRuntime, name: str
) -> None:
    full = "while sleep 60 & do :; done; sleep 60"
    runtime.start(spec(name, command=("bash", "-c", full), pids_limit=16))
    wait_for(lambda: "fork" in runtime.logs(name, tail_bytes=1000))

    try:
        exit_code = runtime.exec(name, ["true"]).exit_code
    except base.RuntimeUnavailable:
        exit_code = -1

    assert exit_code != 0


@pytest.mark.parametrize(
    "fill",
    [
        "head -c 3m /dev/zero > /workspace/big",  # over the size of one file
        "head -c 9m /dev/zero > /tmp/big",  # over the temporary directory
        "head -c 1 /dev/zero > /usr/bin/big",  # not writable at all
    ],
)
def test_filling_a_disk_ends_at_a_bound(runtime: DockerRuntime, name: str, fill: str) -> None:
    bounds = {"file_size_bytes": 2 * MIB, "temporary_bytes": 1 * MIB}

    runtime.start(spec(name, command=("sh", "-c", fill), **bounds))

    assert wait_for_end(runtime, name).exit_code != 0
