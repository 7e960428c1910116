"""What every runtime must do, checked on the one in memory and on processes."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from apps.units import layout, toolchain
from apps.units.supervisor import Units
from apps.workers.runtime import base
from apps.workers.runtime.process import ProcessRuntime
from tests.fakes_runtime import FakeRuntime, ForbiddenCall

pytestmark = pytest.mark.service

#: Does what it finds in a file ``todo``, until it is told to exit.
OBEDIENT = """
trap 'exit 143' TERM
touch ready
while :; do
    if [ -f todo ]; then mv todo doing; . ./doing; rm -f doing; fi
    sleep 0.01
done
"""


class Stage(Protocol):
    """A runtime, and the power to make its containers act."""

    runtime: base.ContainerRuntime

    def finish(self, name: str, code: int) -> None: ...
    def say(self, name: str, text: str) -> None: ...
    def write(self, name: str, path: str, content: str) -> None: ...
    def lose(self, name: str) -> None: ...


class FakeStage:
    """The fake acts when it is told to."""

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


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def phase_of(runtime: base.ContainerRuntime, name: str) -> base.Phase | None:
    state = runtime.inspect(name)
    return None if state is None else state.phase


def spec(name: str = "worker-1", **changes: Any) -> base.ContainerSpec:
    plain = base.ContainerSpec(name=name, command=("sh", "-c", OBEDIENT), deadline_seconds=60)
    return replace(plain, **changes)


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="runtime-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["fake", "process"])
def stage(request: pytest.FixtureRequest, place: Path) -> Iterator[Stage]:
    result: Stage = FakeStage() if request.param == "fake" else ProcessStage(place)
    yield result
    for state in result.runtime.list_owned():
        result.runtime.remove(state.name)


def test_nothing_was_started_is_none(stage: Stage) -> None:
    assert stage.runtime.inspect("worker-1") is None


def test_started_container_runs_with_its_labels(stage: Stage) -> None:
    stage.runtime.start(spec(labels={"worker": "1"}))

    state = stage.runtime.inspect("worker-1")

    assert state is not None
    assert (state.name, state.phase, state.exit_code) == ("worker-1", base.Phase.RUNNING, None)
    assert state.labels == {"worker": "1"}
    assert state.started_at is not None
    assert state.finished_at is None


@pytest.mark.parametrize("code", [0, 3])
def test_end_is_observed_with_its_exit_code(stage: Stage, code: int) -> None:
    stage.runtime.start(spec())

    stage.finish("worker-1", code)

    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.EXITED, code)
    assert state.finished_at is not None


def test_end_without_a_record_is_unknown_and_has_no_exit_code(stage: Stage) -> None:
    stage.runtime.start(spec())

    stage.lose("worker-1")

    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.UNKNOWN, None)


def test_second_start_adopts(stage: Stage) -> None:
    stage.runtime.start(spec())
    first = stage.runtime.inspect("worker-1")

    stage.runtime.start(spec())

    assert stage.runtime.inspect("worker-1") == first


def test_finished_container_is_not_run_again(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.finish("worker-1", 5)

    stage.runtime.start(spec())

    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert (state.phase, state.exit_code) == (base.Phase.EXITED, 5)


def test_simultaneous_starts_make_one_container(stage: Stage) -> None:
    threads = [threading.Thread(target=stage.runtime.start, args=(spec(),)) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [state.name for state in stage.runtime.list_owned()] == ["worker-1"]


def test_removed_name_can_be_started_anew(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.finish("worker-1", 5)
    stage.runtime.remove("worker-1")

    stage.runtime.start(spec(labels={"attempt": "2"}))

    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert (state.phase, state.labels) == (base.Phase.RUNNING, {"attempt": "2"})


def test_removal_is_safe_before_during_and_after(stage: Stage) -> None:
    stage.runtime.remove("worker-1")
    stage.runtime.start(spec())

    stage.runtime.remove("worker-1")
    stage.runtime.remove("worker-1")

    assert stage.runtime.inspect("worker-1") is None
    assert stage.runtime.list_owned() == []


def test_asking_to_stop_ends_a_container_that_obeys(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.say("worker-1", "up")

    stage.runtime.ask_to_stop("worker-1")

    wait_for(lambda: phase_of(stage.runtime, "worker-1") is base.Phase.EXITED)
    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert state.exit_code == 143


def test_asking_an_absent_or_ended_container_to_stop_is_success(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.finish("worker-1", 2)

    stage.runtime.ask_to_stop("worker-1")
    stage.runtime.ask_to_stop("worker-2")

    state = stage.runtime.inspect("worker-1")
    assert state is not None
    assert state.exit_code == 2


def test_logs_are_read_from_their_end_and_after_the_end(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.say("worker-1", "begin ")
    stage.say("worker-1", "end")
    stage.finish("worker-1", 0)

    assert stage.runtime.logs("worker-1", tail_bytes=100) == "begin end"
    assert stage.runtime.logs("worker-1", tail_bytes=3) == "end"
    assert stage.runtime.logs("worker-1", tail_bytes=0) == ""


def test_written_file_is_fetched_while_running_and_after_the_end(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.write("worker-1", "out/result", "12345")

    running = stage.runtime.fetch("worker-1", "out/result", limit_bytes=5)

    stage.finish("worker-1", 0)
    assert running == stage.runtime.fetch("worker-1", "out/result", limit_bytes=5) == b"12345"


def test_file_that_is_absent_large_or_outside_is_refused(stage: Stage) -> None:
    stage.runtime.start(spec())
    stage.write("worker-1", "result", "12345")

    with pytest.raises(base.ContainerFileNotFound):
        stage.runtime.fetch("worker-1", "other", limit_bytes=100)
    with pytest.raises(base.ContainerFileRefused):
        stage.runtime.fetch("worker-1", "result", limit_bytes=4)
    with pytest.raises(base.ContainerFileRefused):
        stage.runtime.fetch("worker-1", "../process.json", limit_bytes=10_000)


def test_logs_and_files_of_an_absent_container_are_not_found(stage: Stage) -> None:
    with pytest.raises(base.ContainerNotFound):
        stage.runtime.logs("worker-1", tail_bytes=10)
    with pytest.raises(base.ContainerNotFound):
        stage.runtime.fetch("worker-1", "file", limit_bytes=10)


def test_input_that_is_not_a_file_is_refused_for_good(stage: Stage, place: Path) -> None:
    with pytest.raises(base.ContainerRefused):
        stage.runtime.start(spec(inputs={"bundle": place / "absent"}))

    assert stage.runtime.inspect("worker-1") is None


def test_every_container_is_listed(stage: Stage) -> None:
    for name in ("worker-1", "worker-2", "check-1"):
        stage.runtime.start(spec(name))
    stage.finish("worker-2", 0)

    states = {state.name: state.phase for state in stage.runtime.list_owned()}

    running, exited = base.Phase.RUNNING, base.Phase.EXITED
    assert states == {"worker-1": running, "worker-2": exited, "check-1": running}


def test_secrets_do_not_show_in_a_spec() -> None:
    assert "sesame" not in repr(spec(environment={"TOKEN": "sesame"}))


class TestProcess:
    """What only the process runtime promises."""

    def test_environment_names_the_places(self, place: Path) -> None:
        stage = ProcessStage(place)
        (place / "given").write_text("content")
        script = 'test "$PWD" = "$WORKSPACE_DIR"; cat "$INPUT_DIR/given"; touch "$HOME/x" "$TMPDIR/x"; exit 4'
        command = ("sh", "-ec", script)
        stage.runtime.start(spec(command=command, inputs={"given": place / "given"}, environment={"A": "b"}))

        wait_for(lambda: phase_of(stage.runtime, "worker-1") is base.Phase.EXITED)

        state = stage.runtime.inspect("worker-1")
        log = stage.runtime.logs("worker-1", tail_bytes=100)
        stage.runtime.remove("worker-1")
        assert state is not None
        assert (state.exit_code, log) == (4, "content")

    def test_signal_is_an_exit_code_above_128_and_a_deadline_is_told(self, place: Path) -> None:
        stage = ProcessStage(place)
        stage.runtime.start(spec(command=("sleep", "60"), deadline_seconds=0.2))

        wait_for(lambda: phase_of(stage.runtime, "worker-1") is base.Phase.EXITED)

        state = stage.runtime.inspect("worker-1")
        stage.runtime.remove("worker-1")
        assert state is not None
        assert (state.exit_code, state.timed_out) == (143, True)

    def test_machine_that_refuses_is_unavailable_and_not_absent(self, place: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("without uids every directory of ours is reachable")
        stage = ProcessStage(place)
        place.chmod(0o700)

        with pytest.raises(base.RuntimeUnavailable, match="chmod"):
            stage.runtime.start(spec())

        place.chmod(0o711)
        stage.runtime.start(spec())
        assert phase_of(stage.runtime, "worker-1") is base.Phase.RUNNING
        stage.runtime.remove("worker-1")


class TestFake:
    """What tests may rely on."""

    def test_runtime_that_is_down_answers_nothing(self) -> None:
        fake = FakeRuntime()
        fake.start(spec())
        fake.is_down = True

        for verb in (lambda: fake.inspect("worker-1"), fake.list_owned, lambda: fake.remove("worker-1")):
            with pytest.raises(base.RuntimeUnavailable):
                verb()

        fake.is_down = False
        assert phase_of(fake, "worker-1") is base.Phase.RUNNING

    def test_lost_answer_leaves_the_work_done(self) -> None:
        fake = FakeRuntime()
        fake.fails_after.add("start")

        with pytest.raises(base.RuntimeUnavailable):
            fake.start(spec())

        assert fake.started == ["worker-1"]

    def test_vanished_container_is_absent(self) -> None:
        fake = FakeRuntime()
        fake.start(spec())

        fake.vanish("worker-1")

        assert fake.inspect("worker-1") is None

    def test_missing_image_is_permanent(self) -> None:
        fake = FakeRuntime()
        fake.images = {"worker:1"}

        with pytest.raises(base.ImageMissing):
            fake.start(spec(image="worker:2"))

    def test_one_name_with_two_specs_fails_the_test(self) -> None:
        fake = FakeRuntime()
        fake.start(spec())

        with pytest.raises(ForbiddenCall):
            fake.start(spec(labels={"other": "spec"}))

    def test_container_that_ended_does_not_act(self) -> None:
        fake = FakeRuntime()
        fake.start(spec())
        fake.finish("worker-1", 0)

        with pytest.raises(ForbiddenCall):
            fake.say("worker-1", "from the grave")
