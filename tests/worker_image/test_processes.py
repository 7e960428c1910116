"""Processes below the wrapper: protection, identity, reaping."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker_image import processes

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
NOBODY = 65534


def test_protected_process_hides_its_environment_from_its_own_uid() -> None:
    source = (ROOT / "worker_image" / "processes.py").read_text()
    code = f"{source}\nprotect_self()\nprint('ready', flush=True)\ninput()"
    account = NOBODY if os.geteuid() == 0 else None
    child = subprocess.Popen(
        ["/usr/bin/env", "python3", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        user=account,
        cwd="/",
        env={"PATH": os.defpath, "SECRET": "x"},
    )
    with child:
        assert child.stdout is not None
        ready = child.stdout.readline()
        owner = os.stat(f"/proc/{child.pid}/environ").st_uid
        child.kill()

    assert ready == b"ready\n"
    assert owner == 0, "only root may open it"


def test_descendants_leave_out_what_is_somebody_elses() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        everything = {item.pid for item in processes.descendants(os.getpid())}
        without = {item.pid for item in processes.descendants(os.getpid(), owned=frozenset({child.pid}))}
        child.kill()

    assert child.pid in everything
    assert child.pid not in without


def test_reaper_leaves_a_fresh_zombie_to_its_own_waiter() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    reaper = processes.Reaper()

    reaper.reap()
    state_after_first = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
    reaper.reap()

    assert state_after_first == "Z"
    assert not Path(f"/proc/{child.pid}").exists()
    child.returncode = 0
