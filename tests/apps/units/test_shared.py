import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.units.shared import reachable_by_others, reachable_copy, shared_copy

pytestmark = pytest.mark.unit


@pytest.fixture
def programs(place: Path) -> Path:
    """A package in a directory that only its owner may enter, readable by its owner only."""
    package = place / "private" / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "stale.pyc").touch()
    package.parent.chmod(0o700)
    (package / "run").write_text("#!/bin/sh\n")
    (package / "run").chmod(0o700)
    (package / "__init__.py").write_text("WORD = 'first'\n")
    (package / "__init__.py").chmod(0o600)
    return package


def word_of(package: Path) -> str:
    script = f"import {package.name} as p; print(p.WORD, p.__cached__, p.__file__)"
    env = {"PYTHONPATH": str(package.parent)}
    run = subprocess.run([sys.executable, "-B", "-c", script], env=env, capture_output=True, text=True)
    return run.stdout.split()[0]


def test_programs_out_of_reach_are_copied_once_and_readable(place, programs):
    copied = reachable_copy(programs, place / "copies")
    repeated = reachable_copy(programs, place / "copies")

    assert copied == repeated != programs
    assert copied.name == "package"
    assert reachable_by_others(copied)
    assert stat.S_IMODE((copied / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((copied / "__init__.py").stat().st_mode) == 0o644


def test_programs_within_reach_are_used_where_they_are(place, programs):
    programs.parent.chmod(0o755)

    found = reachable_copy(programs, place / "copies")

    assert found == programs
    assert not (place / "copies").exists()


def test_bytecode_comes_with_the_copy_and_makes_no_new_version(place, programs):
    copied = shared_copy(programs, place / "copies")
    (programs / "__pycache__" / "more.pyc").touch()

    repeated = shared_copy(programs, place / "copies")

    assert repeated == copied
    assert [file.name.split(".")[0] for file in (copied / "__pycache__").iterdir()] == ["__init__"]


def test_changed_source_is_copied_again_and_the_old_copy_stays_a_while(place, programs):
    first = shared_copy(programs, place / "copies")
    (programs / "__init__.py").write_text("WORD = 'second'\n")

    second = shared_copy(programs, place / "copies")

    assert [word_of(first), word_of(second)] == ["first", "second"]


def test_copy_that_nobody_asked_for_in_weeks_is_deleted(place, programs):
    first = shared_copy(programs, place / "copies")
    (programs / "__init__.py").write_text("WORD = 'second'\n")
    month_ago = time.time() - 30 * 24 * 3600
    os.utime(first.parent, (month_ago, month_ago))

    second = shared_copy(programs, place / "copies")

    assert not first.exists()
    assert second.exists()
