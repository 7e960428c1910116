"""Others can see whether a service without an address works."""

import os
import subprocess
import sys
import time
from pathlib import Path

from shared import heartbeat


def test_service_that_never_spoke_is_not_alive(tmp_path: Path) -> None:
    assert not heartbeat.is_fresh(tmp_path)


def test_service_is_alive_until_it_is_silent_for_too_long(tmp_path: Path) -> None:
    heartbeat.beat(tmp_path / "data")
    fresh = heartbeat.is_fresh(tmp_path / "data")
    long_ago = time.time() - 100
    os.utime(tmp_path / "data" / heartbeat.FILE, (long_ago, long_ago))

    assert fresh
    assert not heartbeat.is_fresh(tmp_path / "data")


def test_command_tells_by_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shared.heartbeat", "30"]
    environment = os.environ | {"DATA_DIR": str(tmp_path)}

    before = subprocess.run(command, env=environment, check=False)
    heartbeat.beat(tmp_path)
    after = subprocess.run(command, env=environment, check=False)

    assert (before.returncode, after.returncode) == (1, 0)
