import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from apps.units import processes
from apps.units.spec import UnitPhase
from apps.units.supervisor import Units

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).resolve().parents[3]


def test_second_start_adopts_the_running_unit(units, make_spec, recorded):
    units.start(make_spec("once"))
    first = recorded("once")

    units.start(make_spec("once", "exit 1"))

    assert recorded("once") == first


def test_finished_unit_is_adopted_and_never_run_again(units, make_spec, finished):
    units.start(make_spec("done", "exit 4"))
    before = finished("done")

    units.start(make_spec("done", "exit 5"))

    assert units.inspect("done") == before


def test_removed_name_can_be_started_anew(units, make_spec, finished):
    units.start(make_spec("again", "exit 4"))
    finished("again")
    units.remove("again")

    units.start(make_spec("again", "exit 5"))

    assert finished("again").exit_code == 5


def test_simultaneous_starts_make_one_process(units, make_spec):
    spec = make_spec("race", "echo ran; sleep 60")
    threads = [threading.Thread(target=units.start, args=(spec,)) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    time.sleep(0.1)
    assert units.logs("race", tail_bytes=100) == "ran\n"


def test_zombie_is_not_alive():
    child = os.fork()
    if not child:
        os._exit(0)
    while processes.stat(child).is_alive:
        time.sleep(0.002)

    same = processes.is_same(child, processes.stat(child).start_ticks)

    os.waitpid(child, 0)
    assert same is False


def test_unit_that_ended_after_its_shim_was_killed_is_unknown(units, make_spec, finished, recorded):
    units.start(make_spec("orphan", argv=("sleep", "60")))
    process = recorded("orphan")

    os.kill(process["shim_pid"], signal.SIGKILL)
    time.sleep(0.05)
    assert units.inspect("orphan").phase is UnitPhase.RUNNING
    units.ask_to_stop("orphan")

    state = finished("orphan")
    assert (state.phase, state.exit_code) == (UnitPhase.UNKNOWN, None)


def test_removal_finds_everything_after_the_shim_was_killed(units, make_spec, wait_for, recorded):
    script = "trap '' TERM; (setsid sleep 301 &); exec 9>&-; sleep 301"
    units.start(make_spec("headless", script))
    process = recorded("headless")
    wait_for(lambda: len(processes.descendants(process["shim_pid"])) >= 3)
    members = processes.descendants(process["shim_pid"])
    os.kill(process["shim_pid"], signal.SIGKILL)

    units.remove("headless")

    assert not any((found := processes.stat(pid)) and found.is_alive for pid in members)
    assert units.inspect("headless") is None


def test_starter_killed_at_any_step_leaves_something_to_adopt(units, make_spec, place, finished) -> None:
    # How many calls a start makes varies a little: the first one prepares what later ones find, and the
    # wait for the shim takes more or fewer looks. A step that never came is a start that was not killed.
    counts = [int(_starter(units, place, name, 0).stdout) for name in ("counted-1", "counted-2")]
    chosen = sorted({round(1 + number * (min(counts) - 1) / 24) for number in range(25)})
    kills = 0

    for step in chosen:
        name = f"killed-{step}"
        ended = _starter(units, place, name, step)
        assert ended.returncode in (-signal.SIGKILL, 0)
        kills += ended.returncode != 0
        units.start(make_spec(name, f"echo {name} >> {place}/shared/runs; exit 8", workdir=place / "shared"))
        assert finished(name).exit_code == 8

    runs = (place / "shared" / "runs").read_text().split()
    assert sorted(runs) == sorted(["counted-1", "counted-2", *(f"killed-{step}" for step in chosen)])
    assert kills >= len(chosen) - 4


STARTER = """
import os, pathlib, signal, sys
from apps.units.spec import UnitSpec
from apps.units.supervisor import Units

root, name, step, shared = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
units = Units(pathlib.Path(root))
script = f"echo {name} >> {shared}/runs; exit 8"
spec = UnitSpec(name=name, argv=("/bin/sh", "-c", script), timeout_seconds=60, workdir=pathlib.Path(shared))
count = 0

def die(frame, event, argument):
    global count
    if event in ("return", "c_return") and "/apps/units/" in frame.f_code.co_filename or event == "c_return":
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(die)
units.start(spec)
sys.setprofile(None)
print(count)
"""


def _starter(units: Units, place: Path, name: str, step: int) -> "subprocess.CompletedProcess[str]":
    """Start a unit in another process, which kills itself after so many returned calls."""
    shared = place / "shared"
    if not shared.exists():
        shared.mkdir(mode=0o777)
        shared.chmod(0o1777)
        (shared / "runs").touch(mode=0o666)
        (shared / "runs").chmod(0o666)
    call = [sys.executable, "-c", STARTER, str(units.root), name, str(step), str(shared)]
    return subprocess.run(call, cwd=REPOSITORY, capture_output=True, text=True)
