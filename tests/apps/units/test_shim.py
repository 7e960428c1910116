import os
import signal
import time
from pathlib import Path

import pytest

from apps.units import layout, processes
from apps.units.spec import UnitLimits, UnitPhase

pytestmark = pytest.mark.service


def test_unit_reports_its_exit_code(units, make_spec, finished):
    units.start(make_spec("three", "exit 3", labels={"kind": "test"}))

    state = finished("three")

    assert (state.phase, state.exit_code, state.signal, state.timed_out) == (UnitPhase.EXITED, 3, None, False)
    assert state.finished_at >= state.started_at
    assert state.labels == {"kind": "test"}


def test_unit_reports_the_signal_that_ended_it(units, make_spec, finished):
    units.start(make_spec("shot", "kill -9 $$"))

    state = finished("shot")

    assert (state.exit_code, state.signal) == (None, signal.SIGKILL)


def test_command_that_does_not_exist_is_exit_127_with_the_reason_in_the_log(units, make_spec, finished):
    units.start(make_spec("missing", argv=("no-such-command",)))

    state = finished("missing")

    assert state.exit_code == 127
    assert "no-such-command" in units.logs("missing", tail_bytes=1000)


def test_deadline_ends_a_unit_that_ignores_sigterm(units, make_spec, finished):
    script = "trap '' TERM; while :; do sleep 0.05; done"
    units.start(make_spec("late", script, timeout_seconds=0.3, stop_grace_seconds=0.2))

    state = finished("late")

    assert state.timed_out
    assert state.signal == signal.SIGKILL
    assert (state.finished_at - state.started_at).total_seconds() < 3


def test_deadline_lets_a_unit_clean_up(units, make_spec, finished):
    script = "trap 'echo bye; exit 9' TERM; while :; do sleep 0.02; done"
    units.start(make_spec("polite", script, timeout_seconds=0.2))

    state = finished("polite")

    assert (state.timed_out, state.exit_code) == (True, 9)
    assert "bye" in units.logs("polite", tail_bytes=100)


def test_grandchildren_that_left_the_session_are_killed_too(units, make_spec, finished, wait_for):
    script = (
        "(setsid sh -c 'echo $$ > child; sleep 300' &) ; while [ ! -s child ]; do sleep 0.01; done; exit 2"
    )
    units.start(make_spec("family", script))

    state = finished("family")

    grandchild = int(units.fetch("family", "child", limit_bytes=20))
    assert state.exit_code == 2
    assert processes.stat(grandchild) is None


def test_command_that_unlocks_its_lock_is_still_alive(units, make_spec):
    script = (
        "import fcntl, os, time\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try: fcntl.flock(int(name), fcntl.LOCK_UN)\n"
        "    except OSError: pass\n"
        "print('unlocked', flush=True); time.sleep(60)"
    )
    units.start(make_spec("traitor", argv=("/usr/bin/env", "python3", "-c", script)))
    while not units.logs("traitor", tail_bytes=10):
        time.sleep(0.01)

    assert units.inspect("traitor").phase is UnitPhase.RUNNING


def test_flood_of_output_is_bounded_and_keeps_both_ends(units, make_spec, finished):
    script = "echo begin; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end"
    units.start(make_spec("flood", script, log_limit_bytes=20000))

    finished("flood")

    log = units.logs("flood", tail_bytes=10**9)
    stored = sum(file.stat().st_size for file in (units.directory / "flood").glob("log.*"))
    assert log.startswith("begin")
    assert log.endswith("end\n")
    assert "bytes omitted" in log
    assert stored <= 20100


def test_tail_of_the_log_is_as_long_as_asked(units, make_spec, finished):
    units.start(make_spec("talk", "echo one; echo two >&2"))
    finished("talk")

    assert units.logs("talk", tail_bytes=4) == "two\n"
    assert units.logs("talk", tail_bytes=0) == ""


def test_environment_is_clean_and_in_no_command_line_nor_on_disk(units, make_spec):
    secret = "sesame-" + os.urandom(8).hex()
    units.start(make_spec("quiet", "env; sleep 60", env={"TOKEN": secret}))
    while "TOKEN" not in units.logs("quiet", tail_bytes=5000):
        time.sleep(0.005)

    names = {line.split("=")[0] for line in units.logs("quiet", tail_bytes=5000).splitlines()}
    lines = [Path(f"/proc/{found.pid}/cmdline") for found in processes.snapshot()]
    shown = b"".join(path.read_bytes() for path in lines if path.exists())
    stored = b"".join(
        (units.directory / "quiet" / name).read_bytes()
        for name in (layout.SPEC, layout.PROCESS, layout.SHIM_ERRORS)
    )

    assert names <= {
        "PATH",
        "TOKEN",
        "HOME",
        "TMPDIR",
        "INPUT_DIR",
        "PWD",
        "ORCHESTRATOR_UNIT",
        "OLDPWD",
        "_",
        "SHLVL",
    }
    assert secret.encode() not in shown
    assert secret.encode() not in stored


def test_limits_hold(units, make_spec, finished):
    script = "ulimit -n; ulimit -c; head -c 3000 /dev/zero > big"
    limits = UnitLimits(open_files=64, file_size_bytes=2000)
    units.start(make_spec("limited", script, limits=limits))

    finished("limited")

    assert units.logs("limited", tail_bytes=100).splitlines()[:2] == ["64", "0"]
    assert len(units.fetch("limited", "big", limit_bytes=5000)) <= 2000


def test_command_runs_soon_after_the_start(units, make_spec):
    delays = []
    for number in range(9):
        began = time.time()
        units.start(make_spec(f"fast-{number}", "date +%s.%N; sleep 60"))
        while not (line := units.logs(f"fast-{number}", tail_bytes=100)):
            time.sleep(0.001)
        delays.append(float(line) - began)

    # 46 ms on an idle machine of two cores; the bound leaves room for busy neighbors.
    assert sorted(delays)[len(delays) // 2] < 0.3
