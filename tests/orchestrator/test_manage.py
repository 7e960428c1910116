"""The list of commands, where nothing is set yet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.env import ROOT

pytestmark = pytest.mark.unit


def test_commands_are_listed_before_anything_is_set_up(tmp_path: Path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    answer = subprocess.run(
        [sys.executable, "manage.py", "help"],
        cwd=ROOT,
        env={**kept, "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    ours = answer.stdout.partition("[orchestrator]")[2].split()
    assert ours[:2] == ["demo", "doctor"]
    assert "invite" in ours
