import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.units import layout, processes
from apps.units.spec import (
    UnitFileRefused,
    UnitPhase,
    UnitsUnavailable,
)
from apps.units.supervisor import Units

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).resolve().parents[3]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="uids are separated only for root")


@needs_root
def test_unit_has_a_uid_of_its_own_and_no_way_into_its_neighbor(units, make_spec, finished, place, recorded):
    (place / "embedded.env").write_text("SECRET_KEY=sesame")
    (place / "embedded.env").chmod(0o600)
    units.start(
        make_spec(
            "victim",
            "echo private > file; chmod 0777 . file; sleep 60",
            inputs={"in": place / "embedded.env"},
        )
    )
    directory = units.directory / "victim"
    while not (directory / "work" / "file").exists():
        time.sleep(0.005)
    targets = ["work/file", "input/in", "spec.json", "process.json", "log.head", "lock"]
    script = "\n".join(f"cat {directory}/{target} && echo OPEN" for target in targets)
    script += f"\ncat {place}/embedded.env && echo OPEN; id -u; id -G"
    script += f"\nkill -9 {recorded('victim')['pid']} && echo OPEN"
    script += "\necho x > ../exit.json && echo OPEN; grep NoNewPrivs /proc/self/status"

    units.start(make_spec("thief", script))

    finished("thief")
    log = units.logs("thief", tail_bytes=10000)
    uid = recorded("thief")["uid"]
    assert "OPEN" not in log
    assert uid != recorded("victim")["uid"]
    assert f"\n{uid}\n{uid}\n" in log
    assert "NoNewPrivs:\t1" in log
    assert units.inspect("victim").phase is UnitPhase.RUNNING


@needs_root
def test_unit_cannot_kill_its_shim(units, make_spec, finished):
    units.start(make_spec("rebel", "kill -9 $PPID && echo killed; exit 5"))

    state = finished("rebel")

    assert (state.phase, state.exit_code) == (UnitPhase.EXITED, 5)


@needs_root
def test_units_of_one_account_share_a_handed_over_directory(units, make_spec, finished, place, recorded):
    release = place / "release"
    release.mkdir()
    (release / "source").write_text("code")
    units.hand_over(release, "deployment")
    units.start(
        make_spec("install", "cat source; echo built > product", account="deployment", workdir=release)
    )
    finished("install")

    units.start(make_spec("serve", "cat product", account="deployment", workdir=release))

    finished("serve")
    assert units.logs("serve", tail_bytes=100) == "built\n"
    assert release.stat().st_uid == recorded("serve")["uid"]
    assert release.stat().st_mode & 0o777 == 0o700


@needs_root
def test_hard_link_to_somebody_elses_file_is_not_fetched(units, make_spec, finished, place):
    units.start(make_spec("linker", "true"))
    finished("linker")
    (place / "secret").write_text("sesame")
    os.link(place / "secret", units.work_directory("linker") / "mine")

    with pytest.raises(UnitFileRefused):
        units.fetch("linker", "mine", limit_bytes=100)


@needs_root
def test_unit_can_be_run_by_an_ordinary_user(place):
    script = (
        "import sys, time, pathlib\n"
        "from apps.units.spec import UnitSpec\n"
        "from apps.units.supervisor import Units\n"
        "units = Units(pathlib.Path(sys.argv[1]))\n"
        "units.start(UnitSpec(name='a', argv=('/bin/sh', '-c', 'id -u; exit 6'), timeout_seconds=5))\n"
        "while units.inspect('a').phase == 'running': time.sleep(0.01)\n"
        "print(units.inspect('a').exit_code, units.logs('a', tail_bytes=100))\n"
        "units.remove('a')\n"
    )
    home = place / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)

    done = subprocess.run(
        [sys.executable, "-c", script, str(home / "units")],
        cwd=REPOSITORY,
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["6", "65534"], done.stderr


def test_unreachable_directory_is_refused_with_the_repair(place, make_spec):
    if os.geteuid() != 0:
        pytest.skip("without uids every directory of ours is reachable")
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    units = Units(closed / "units")

    with pytest.raises(UnitsUnavailable, match=f"chmod o\\+x {closed}"):
        units.start(make_spec("locked-out"))


@needs_root
def test_handing_over_makes_a_way_to_a_directory_that_is_not_there_yet(units, make_spec, finished, place):
    kept = place / "data" / "project" / "service"

    units.hand_over(kept, "deployment")

    units.start(make_spec("keeper", f"echo row > {kept}/rows; ls {place}/data", account="deployment"))
    finished("keeper")
    assert (kept / "rows").read_text() == "row\n"
    assert "project" not in units.logs("keeper", tail_bytes=100)


@needs_root
def test_handing_over_does_not_follow_links_out_of_the_directory(units, place):
    release = place / "release"
    release.mkdir()
    (place / "outside").write_text("ours")
    (release / "link").symlink_to(place / "outside")

    units.hand_over(release, "deployment")

    assert (place / "outside").stat().st_uid == 0
    assert (release / "link").lstat().st_uid == release.stat().st_uid


@needs_root
def test_units_of_two_directories_cannot_meet(units, make_spec, place, recorded, wait_for):
    neighbors = Units(place / "other" / "units")
    try:
        neighbors.start(make_spec("same", "sleep 60"))
        units.start(make_spec("same", "sleep 60"))
        neighbor = json.loads((neighbors.directory / "same" / layout.PROCESS).read_text())
        mine = recorded("same")
        os.kill(mine["shim_pid"], signal.SIGKILL)

        units.remove("same")

        assert neighbor["uid"] != mine["uid"]
        assert neighbors.inspect("same").phase is UnitPhase.RUNNING
        assert processes.is_same(neighbor["pid"], neighbor["start_ticks"])
        wait_for(lambda: not processes.is_same(mine["pid"], mine["start_ticks"]))
    finally:
        neighbors.remove("same")


def test_program_of_ours_runs_as_we_do_when_told_so(units, make_spec, finished):
    units.start(make_spec("ours", "id -u; touch written", is_ours=True))

    state = finished("ours")

    assert state.exit_code == 0
    assert units.logs("ours", tail_bytes=100).split()[0] == str(os.geteuid())
    assert units.fetch("ours", "written", limit_bytes=10) == b""
