"""What every runtime must do, checked on the one in memory, on processes, and on containers."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.runtime_stages import (
    CHECK,
    FOUR,
    ONE,
    THREE,
    TWO,
    DockerStage,
    FakeStage,
    ProcessStage,
    SpareRuntime,
    Stage,
    phase_of,
    spec,
    wait_for,
)

pytestmark = pytest.mark.service


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="runtime-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as runtime:
        yield runtime


@pytest.fixture(
    params=[
        "fake",
        "process",
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("spare", marks=pytest.mark.docker),
    ]
)
def stage(request: pytest.FixtureRequest, place: Path) -> Iterator[Stage]:
    result: Stage
    match request.param:
        case "fake":
            result = FakeStage()
        case "process":
            result = ProcessStage(place)
        case "spare":
            installation = request.getfixturevalue("engine").installation
            spares = SpareRuntime(installation=installation, default_image=docker_engine.small_image)
            result = DockerStage(spares)
        case _:
            result = DockerStage(request.getfixturevalue("engine"))
    yield result
    for state in result.runtime.list_owned():
        result.runtime.remove(state.name)


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def real_stage(request: pytest.FixtureRequest, place: Path) -> Iterator[Stage]:
    """A runtime that really runs commands."""
    is_docker = request.param == "docker"
    result: Stage = DockerStage(request.getfixturevalue("engine")) if is_docker else ProcessStage(place)
    yield result
    for state in result.runtime.list_owned():
        result.runtime.remove(state.name)


@pytest.fixture(params=["fake", "process"])
def forgetful_stage(request: pytest.FixtureRequest, place: Path) -> Iterator[FakeStage | ProcessStage]:
    """A runtime that can lose the record of an end; a daemon keeps it for as long as the container."""
    result = FakeStage() if request.param == "fake" else ProcessStage(place)
    yield result
    result.runtime.remove(ONE)


def test_nothing_was_started_is_none(stage: Stage) -> None:
    assert stage.runtime.inspect(ONE) is None


def test_started_container_runs_with_its_labels(stage: Stage) -> None:
    stage.runtime.start(spec(ONE, labels={"worker": "1"}))

    state = stage.runtime.inspect(ONE)

    assert state is not None
    assert (state.name, state.phase, state.exit_code) == (ONE, base.Phase.RUNNING, None)
    assert state.labels == {"worker": "1"}
    assert state.started_at is not None
    assert state.finished_at is None


@pytest.mark.parametrize("code", [0, 3])
def test_end_is_observed_with_its_exit_code(stage: Stage, code: int) -> None:
    stage.runtime.start(spec(ONE))

    stage.finish(ONE, code)

    state = stage.runtime.inspect(ONE)
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.EXITED, code)
    assert state.finished_at is not None


def test_end_without_a_record_is_unknown_and_has_no_exit_code(
    forgetful_stage: FakeStage | ProcessStage,
) -> None:
    forgetful_stage.runtime.start(spec(ONE))

    forgetful_stage.lose(ONE)

    state = forgetful_stage.runtime.inspect(ONE)
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.UNKNOWN, None)


def test_second_start_adopts(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    first = stage.runtime.inspect(ONE)

    stage.runtime.start(spec(ONE))

    assert stage.runtime.inspect(ONE) == first


def test_finished_container_is_not_run_again(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.finish(ONE, 5)

    stage.runtime.start(spec(ONE))

    state = stage.runtime.inspect(ONE)
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.EXITED, 5)


def test_simultaneous_starts_make_one_container(stage: Stage) -> None:
    threads = [threading.Thread(target=stage.runtime.start, args=(spec(ONE),)) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [state.name for state in stage.runtime.list_owned()] == [ONE]


def test_removed_name_can_be_started_anew(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.finish(ONE, 5)
    stage.runtime.remove(ONE)

    stage.runtime.start(spec(ONE, labels={"attempt": "2"}))

    state = stage.runtime.inspect(ONE)
    assert state is not None
    assert (state.phase, state.labels) == (base.Phase.RUNNING, {"attempt": "2"})


def test_removal_is_safe_before_during_and_after(stage: Stage) -> None:
    stage.runtime.remove(ONE)
    stage.runtime.start(spec(ONE))

    stage.runtime.remove(ONE)
    stage.runtime.remove(ONE)

    assert stage.runtime.inspect(ONE) is None
    assert stage.runtime.list_owned() == []


def test_asking_to_stop_ends_a_container_that_obeys(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.say(ONE, "up\n")

    stage.runtime.ask_to_stop(ONE)

    wait_for(lambda: phase_of(stage.runtime, ONE) is base.Phase.EXITED)
    state = stage.runtime.inspect(ONE)
    assert state is not None
    assert state.exit_code == 143


def test_asking_an_absent_or_ended_container_to_stop_is_success(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.finish(ONE, 2)

    stage.runtime.ask_to_stop(ONE)
    stage.runtime.ask_to_stop(TWO)

    state = stage.runtime.inspect(ONE)
    assert state is not None
    assert state.exit_code == 2


def test_logs_are_read_from_their_end_and_after_the_end(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.say(ONE, "begin\n")
    stage.say(ONE, "end\n")
    stage.finish(ONE, 0)

    assert stage.runtime.logs(ONE, tail_bytes=100) == "begin\nend\n"
    assert stage.runtime.logs(ONE, tail_bytes=4) == "end\n"
    assert stage.runtime.logs(ONE, tail_bytes=0) == ""


def test_written_file_is_fetched_while_running_and_after_the_end(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.write(ONE, "out/result", "12345")

    running = stage.runtime.fetch(ONE, "out/result", limit_bytes=5)

    stage.finish(ONE, 0)
    assert running == stage.runtime.fetch(ONE, "out/result", limit_bytes=5) == b"12345"


def test_file_that_is_absent_large_or_outside_is_refused(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.write(ONE, "result", "12345")

    with pytest.raises(base.ContainerFileNotFound):
        stage.runtime.fetch(ONE, "other", limit_bytes=100)
    with pytest.raises(base.ContainerFileRefused):
        stage.runtime.fetch(ONE, "result", limit_bytes=4)
    with pytest.raises(base.ContainerFileRefused):
        stage.runtime.fetch(ONE, stage.outside, limit_bytes=10_000)


def test_logs_and_files_of_an_absent_container_are_not_found(stage: Stage) -> None:
    with pytest.raises(base.ContainerNotFound):
        stage.runtime.logs(ONE, tail_bytes=10)
    with pytest.raises(base.ContainerNotFound):
        stage.runtime.fetch(ONE, "file", limit_bytes=10)


def test_input_that_is_not_a_file_is_refused_for_good(stage: Stage, place: Path) -> None:
    with pytest.raises(base.ContainerRefused):
        stage.runtime.start(spec(ONE, inputs={"bundle": place / "absent"}))

    assert stage.runtime.inspect(ONE) is None


def test_paused_container_does_nothing_until_it_goes_on(stage: Stage) -> None:
    stage.runtime.start(spec(ONE))
    stage.say(ONE, "up\n")

    stage.runtime.pause(ONE)
    stage.runtime.pause(ONE)

    assert phase_of(stage.runtime, ONE) is base.Phase.PAUSED
    with pytest.raises(base.ContainerNotRunning):
        stage.runtime.exec(ONE, ["true"])
    stage.runtime.unpause(ONE)
    stage.runtime.unpause(ONE)
    assert phase_of(stage.runtime, ONE) is base.Phase.RUNNING
    stage.say(ONE, "on\n")
    assert stage.runtime.logs(ONE, tail_bytes=100) == "up\non\n"


def test_paused_container_can_be_stopped_and_removed(stage: Stage) -> None:
    for name in (ONE, TWO):
        stage.runtime.start(spec(name))
        stage.say(name, "up\n")
        stage.runtime.pause(name)

    stage.runtime.ask_to_stop(ONE)
    stage.runtime.remove(TWO)

    wait_for(lambda: phase_of(stage.runtime, ONE) is base.Phase.EXITED)
    assert stage.runtime.inspect(TWO) is None


@pytest.mark.parametrize("verb", ["pause", "unpause", "exec"])
def test_what_needs_a_running_container_says_so(stage: Stage, verb: str) -> None:
    stage.runtime.start(spec(ONE))
    stage.finish(ONE, 0)
    calls: dict[str, Callable[[str], object]] = {
        "pause": stage.runtime.pause,
        "unpause": stage.runtime.unpause,
        "exec": lambda name: stage.runtime.exec(name, ["true"]),
    }

    with pytest.raises(base.ContainerNotRunning):
        calls[verb](ONE)
    with pytest.raises(base.ContainerNotFound):
        calls[verb](TWO)


def test_input_is_complete_when_the_command_begins(real_stage: Stage, place: Path) -> None:
    (place / "bundle").write_bytes(b"12345" * 100_000)
    place.chmod(0o755)

    real_stage.runtime.start(
        spec(ONE, command=("sh", "-c", 'cp "$INPUT_DIR/bundle" copy'), inputs={"bundle": place / "bundle"})
    )

    wait_for(lambda: phase_of(real_stage.runtime, ONE) is base.Phase.EXITED)
    copied = real_stage.runtime.fetch(ONE, "copy", limit_bytes=500_000)
    assert copied == b"12345" * 100_000


def test_command_inside_answers_with_its_code_and_output(real_stage: Stage) -> None:
    real_stage.runtime.start(spec(ONE))

    done = real_stage.runtime.exec(ONE, ["sh", "-c", "echo out; echo err >&2; pwd; exit 3"])
    absent = real_stage.runtime.exec(ONE, ["no-such-program"])
    slow = real_stage.runtime.exec(ONE, ["sleep", "60"], timeout_seconds=0.5)

    assert done.exit_code == 3
    assert {"out", "err"} <= set(done.output.split())
    assert absent.exit_code == 127
    assert slow.exit_code in (124, 137)


def test_command_inside_sees_no_secret_of_the_container(real_stage: Stage) -> None:
    secrets = {"WORKER_TOKEN": "sesame", "REDIS_URL": "redis://worker:sesame@channel/0"}
    real_stage.runtime.start(spec(ONE, environment=secrets))

    seen = real_stage.runtime.exec(ONE, ["env"])

    assert seen.exit_code == 0
    assert "sesame" not in seen.output


def test_named_home_outlives_its_containers(real_stage: Stage) -> None:
    keep, show = ("sh", "-c", "echo kept > $HOME/note"), ("sh", "-c", "cat $HOME/note")
    real_stage.runtime.start(spec(ONE, command=keep, home="home-7"))
    wait_for(lambda: phase_of(real_stage.runtime, ONE) is base.Phase.EXITED)
    real_stage.runtime.remove(ONE)

    real_stage.runtime.start(spec(TWO, command=show, home="home-7"))
    real_stage.runtime.start(spec(THREE, command=show))

    wait_for(lambda: phase_of(real_stage.runtime, TWO) is base.Phase.EXITED)
    assert real_stage.runtime.logs(TWO, tail_bytes=100) == "kept\n"
    wait_for(lambda: phase_of(real_stage.runtime, THREE) is base.Phase.EXITED)
    assert "kept" not in real_stage.runtime.logs(THREE, tail_bytes=100)
    real_stage.runtime.remove(TWO)
    real_stage.runtime.remove_home("home-7")
    real_stage.runtime.remove_home("home-7")
    real_stage.runtime.start(spec(FOUR, command=show, home="home-7"))
    wait_for(lambda: phase_of(real_stage.runtime, FOUR) is base.Phase.EXITED)
    assert "kept" not in real_stage.runtime.logs(FOUR, tail_bytes=100)
    real_stage.runtime.remove(FOUR)
    real_stage.runtime.remove_home("home-7")


def test_command_that_floods_is_not_listened_to(real_stage: Stage) -> None:
    real_stage.runtime.start(spec(ONE))
    began = time.monotonic()

    flood = real_stage.runtime.exec(ONE, ["yes", "flood"], timeout_seconds=30)
    seconds = time.monotonic() - began
    much = real_stage.runtime.exec(ONE, ["sh", "-c", "yes much | head -c 3000000; echo the end"])

    assert (flood.is_flood, flood.exit_code) == (True, 137)
    assert len(flood.output) <= base.EXEC_OUTPUT_BYTES
    assert seconds < 20
    assert (much.is_flood, much.exit_code) == (False, 0)
    assert much.output.endswith("the end\n")


def test_home_that_somebody_is_in_is_not_removed(real_stage: Stage) -> None:
    real_stage.runtime.start(spec(ONE, home="home-8"))
    wait_for(lambda: phase_of(real_stage.runtime, ONE) is base.Phase.RUNNING)

    with pytest.raises(base.RuntimeUnavailable):
        real_stage.runtime.remove_home("home-8")

    assert real_stage.runtime.exec(ONE, ["sh", "-c", "echo kept > $HOME/note"]).exit_code == 0
    real_stage.runtime.remove(ONE)
    real_stage.runtime.remove_home("home-8")


def test_disk_that_files_take_is_counted_even_if_they_are_hidden(real_stage: Stage) -> None:
    hide = "mkdir d && head -c 3000000 /dev/zero > d/big && chmod 0 d; touch done; sleep 60"
    real_stage.runtime.start(spec(ONE, command=("sh", "-c", hide)))
    wait_for(lambda: real_stage.runtime.exec(ONE, ["test", "-e", "done"]).exit_code == 0)

    used = real_stage.runtime.disk_use()

    assert list(used) == [ONE]
    assert 3_000_000 <= used[ONE] < 10_000_000


def test_deadline_ends_it_without_us(real_stage: Stage) -> None:
    real_stage.runtime.start(spec(ONE, command=("sleep", "600"), deadline_seconds=1, stop_grace_seconds=1))

    wait_for(lambda: phase_of(real_stage.runtime, ONE) is base.Phase.EXITED)

    state = real_stage.runtime.inspect(ONE)
    assert state is not None
    assert state.timed_out
    assert state.exit_code != 0


def test_every_container_is_listed(stage: Stage) -> None:
    for name in (ONE, TWO, CHECK):
        stage.runtime.start(spec(name))
    stage.finish(TWO, 0)

    states = {state.name: state.phase for state in stage.runtime.list_owned()}

    running, exited = base.Phase.RUNNING, base.Phase.EXITED
    assert states == {ONE: running, TWO: exited, CHECK: running}


def test_secrets_do_not_show_in_a_spec() -> None:
    assert "sesame" not in repr(spec(ONE, environment={"TOKEN": "sesame"}))
