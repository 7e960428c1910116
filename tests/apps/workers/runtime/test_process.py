"""What only the process runtime promises."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.workers.runtime import base
from tests.runtime_stages import ProcessStage, phase_of, spec, wait_for

pytestmark = pytest.mark.service


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="runtime-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def test_environment_names_the_places(place: Path) -> None:
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


def test_signal_is_an_exit_code_above_128_and_a_deadline_is_told(place: Path) -> None:
    stage = ProcessStage(place)
    stage.runtime.start(spec(command=("sleep", "60"), deadline_seconds=0.2))

    wait_for(lambda: phase_of(stage.runtime, "worker-1") is base.Phase.EXITED)

    state = stage.runtime.inspect("worker-1")
    stage.runtime.remove("worker-1")
    assert state is not None
    assert (state.exit_code, state.timed_out) == (143, True)


def test_machine_that_refuses_is_unavailable_and_not_absent(place: Path) -> None:
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
