"""A command beside a unit: bounded in time and in words, and nothing of it stays."""

import os
import stat
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from apps.units import beside, layout, processes
from apps.units.beside import CommandResult
from apps.units.spec import UnitSpec
from apps.units.supervisor import Units

pytestmark = pytest.mark.service
UNIT = "host"


@pytest.fixture
def host(units: Units) -> Units:
    units.start(UnitSpec(name=UNIT, argv=("sleep", "60"), env={"PATH": "/usr/bin:/bin"}, timeout_seconds=60))
    return units


def execute(
    units: Units, script: str, *, timeout_seconds: float = 20, flood_bytes: int = 10_000
) -> CommandResult:
    return beside.execute(
        units,
        UNIT,
        ["sh", "-c", script],
        env={"PATH": "/usr/bin:/bin"},
        timeout_seconds=timeout_seconds,
        limit_bytes=100,
        flood_bytes=flood_bytes,
    )


def is_gone(units: Units) -> bool:
    """Tell whether the process that a script started is dead, at the latest after a moment."""
    number = int((units.work_directory(UNIT) / "pid").read_text())
    try:
        psutil.Process(number).wait(5)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_end_of_the_output_is_kept(host: Units) -> None:
    done = execute(host, "seq 1 1000; exit 3")

    assert (done.exit_code, done.is_flood) == (3, False)
    assert len(done.output) == 100
    assert done.output.endswith(b"999\n1000\n")


def test_flood_is_killed_with_all_that_it_started(host: Units) -> None:
    began = time.monotonic()

    done = execute(host, "sleep 60 & echo $! > pid; cat /dev/zero")

    assert (done.exit_code, done.is_flood, len(done.output)) == (137, True, 100)
    assert time.monotonic() - began < 10
    assert is_gone(host)


def test_deadline_holds_for_one_that_writes_and_for_one_that_is_silent(host: Units) -> None:
    slow = execute(host, "while :; do echo x; sleep 0.1; done", timeout_seconds=0.5)
    silent = execute(host, "exec >&- 2>&-; sleep 60", timeout_seconds=0.5)
    # Its parent is gone, and the output is still open.
    orphan = execute(host, "sleep 60 & echo $! > pid", timeout_seconds=0.5)

    assert (slow.exit_code, slow.is_flood) == (124, False)
    assert slow.output.startswith(b"x\n")
    assert (silent.exit_code, silent.output) == (124, b"")
    assert orphan.exit_code == 124
    assert is_gone(host)


def test_signal_and_absence_are_exit_codes(host: Units) -> None:
    killed = execute(host, "kill -9 $$")
    absent = execute(host, "no-such-program")

    assert (killed.exit_code, absent.exit_code) == (137, 127)


def test_home_can_be_reached_whatever_the_umask(units: Units) -> None:
    before = os.umask(0o077)
    try:
        home = beside.make_home(units, "home-7")
    finally:
        os.umask(before)

    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o711
    assert stat.S_IMODE(home.stat().st_mode) & 0o077 == 0


def test_unit_is_held_while_it_waits_for_a_child_that_has_not_begun(
    units: Units, wait_for: Callable[..., None]
) -> None:
    """A parent that used vfork takes no signal until its child is another program, and so cannot stop."""
    script = (
        "import os; os.mkfifo('gate'); os.posix_spawn('/bin/sh', ['sh', '-c', 'echo begun > done'], {},"
        " file_actions=[(os.POSIX_SPAWN_OPEN, 0, 'gate', os.O_RDONLY, 0)]); open('after', 'w').close()"
    )
    units.start(UnitSpec(name=UNIT, argv=(sys.executable, "-c", script), env={}, timeout_seconds=60))
    work = units.work_directory(UNIT)
    wait_for(lambda: _states(units) == ["D", "S"])

    beside.pause(units, UNIT)

    assert beside.is_paused(units, UNIT)
    assert _states(units) == ["D", "T"]
    with open(work / "gate", "r+b", buffering=0):
        assert not (work / "after").exists()
        beside.unpause(units, UNIT)
        wait_for(lambda: (work / "after").exists() and (work / "done").exists())


def _states(units: Units) -> list[str]:
    """Return the kernel's states of a unit's own processes, the first one's first."""
    shim = layout.read_json(str(units.directory / UNIT), layout.PROCESS)["shim_pid"]
    found = [processes.stat(pid) for pid in processes.descendants(shim)]
    return [one.state for one in found if one is not None]
