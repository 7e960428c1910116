import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.units import layout, processes
from apps.units.spec import UnitInvalid, UnitNotFound, UnitPhase

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).resolve().parents[3]


def test_running_unit_is_running_and_its_command_is_not_our_child(units, make_spec, recorded):
    units.start(make_spec("alive"))

    shim = processes.stat(recorded("alive")["shim_pid"])

    assert units.inspect("alive").phase is UnitPhase.RUNNING
    assert shim.parent != os.getpid()


def test_nothing_was_started_is_none(units):
    assert units.inspect("nobody") is None


def test_asking_to_stop_reaches_the_command_and_returns_at_once(units, make_spec, finished):
    units.start(make_spec("asked", "trap 'sleep 0.3; exit 7' TERM; echo up; while :; do sleep 0.02; done"))
    while not units.logs("asked", tail_bytes=10):
        time.sleep(0.005)
    began = time.monotonic()

    units.ask_to_stop("asked")

    assert time.monotonic() - began < 0.2
    assert (finished("asked").exit_code, finished("asked").timed_out) == (7, False)


def test_asking_a_finished_or_absent_unit_to_stop_is_success(units, make_spec, finished):
    units.start(make_spec("over", "exit 0"))
    finished("over")

    units.ask_to_stop("over")
    units.ask_to_stop("never")

    assert finished("over").exit_code == 0


def test_removal_kills_and_deletes_and_can_be_repeated(units, make_spec, recorded):
    units.start(make_spec("gone", "trap '' TERM; (setsid sleep 300 &); sleep 300"))
    pid = recorded("gone")["pid"]
    session = [found.pid for found in processes.snapshot() if found.session == pid]

    units.remove("gone")
    units.remove("gone")

    assert session
    assert not any(processes.stat(member) for member in session)
    assert units.inspect("gone") is None
    assert not (units.directory / "gone").exists()


def test_logs_of_an_unknown_unit_are_not_found(units):
    with pytest.raises(UnitNotFound):
        units.logs("nobody", tail_bytes=10)


def test_inputs_are_there_before_the_command_and_cannot_be_written(units, make_spec, finished, place):
    (place / "given").write_text("content")
    script = 'cat "$INPUT_DIR/bundle"; echo x 2>/dev/null >> "$INPUT_DIR/bundle" && echo written'
    units.start(make_spec("fed", script, inputs={"bundle": place / "given"}))

    finished("fed")

    expected = "content" if os.geteuid() == 0 else units.logs("fed", tail_bytes=100)
    assert units.logs("fed", tail_bytes=100) == expected


def test_missing_input_is_refused_by_name_and_can_be_repaired(units, make_spec, finished, place):
    spec = make_spec("hungry", 'cat "$INPUT_DIR/late"', inputs={"late": place / "late"})
    with pytest.raises(UnitInvalid) as refused:
        units.start(spec)
    (place / "late").write_text("here")

    units.start(spec)

    finished("hungry")
    assert refused.value.details == {"inputs": "late"}
    assert units.logs("hungry", tail_bytes=100) == "here"


def test_very_deep_directories_can_be_removed(units, make_spec, finished):
    script = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')\nos.chmod('.', 0)"
    units.start(make_spec("deep", argv=("python3", "-c", script)))
    finished("deep")

    units.remove("deep")

    assert list((units.root / layout.TRASH).iterdir()) == []


def test_all_units_are_listed_and_stopped_together(units, make_spec):
    for number in range(5):
        units.start(make_spec(f"unit-{number}"))
    units.start(make_spec("stubborn", "trap '' TERM; while :; do sleep 0.05; done"))

    stopped = units.stop_all(grace_seconds=0.3)

    assert len(stopped) == 6
    assert {state.phase for state in units.list_owned()} == {UnitPhase.EXITED}


def test_command_line_lists_and_stops(units, make_spec):
    units.start(make_spec("shown"))
    call = [sys.executable, "-m", "apps.units", "--root", str(units.root)]

    listed = subprocess.run([*call, "list"], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    stopped = subprocess.run([*call, "stop-all"], capture_output=True, text=True, cwd=REPOSITORY, check=True)

    assert listed.stdout.startswith("shown\trunning")
    assert stopped.stdout == "stopped shown\n"
    assert units.inspect("shown").phase is UnitPhase.EXITED
