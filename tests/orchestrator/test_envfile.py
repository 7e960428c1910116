"""One way to read `.env` files and to find the state directory, for everything that does either."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.envfile import find_var_dir, read_env_file, read_values

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=1", {"A": "1"}),
        (" A = 1 ", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("A='1'", {"A": "1"}),
        ('A="it\'s"', {"A": "it's"}),
        ("A='1", {"A": "'1"}),
        ("A=b=c==", {"A": "b=c=="}),
        ("A=1 # not a comment", {"A": "1 # not a comment"}),
        ("A=$HOME", {"A": "$HOME"}),
        ("A=", {}),
        ("A=''", {}),
        ("# A=1", {}),
        ("  # A=1", {}),
        ("", {}),
        ("nonsense", {}),
    ],
)
def test_line_says_what_it_says(tmp_path, line, expected):
    (tmp_path / ".env").write_text(f"{line}\n", encoding="utf-8")

    assert read_env_file(tmp_path / ".env") == expected


def test_later_line_wins_and_missing_file_says_nothing(tmp_path):
    (tmp_path / ".env").write_text("A=1\nA=2\n")

    assert read_env_file(tmp_path / ".env") == {"A": "2"}
    assert read_env_file(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("given", "dotenv", "expected"),
    [
        ({}, "", "var"),
        ({"VAR_DIR": ""}, "VAR_DIR=\n", "var"),
        ({}, "VAR_DIR='elsewhere'\n", "elsewhere"),
        ({"VAR_DIR": ""}, "VAR_DIR=elsewhere\n", "elsewhere"),
        ({"VAR_DIR": "given"}, "VAR_DIR=elsewhere\n", "given"),
    ],
)
def test_state_directory_is_the_process_s_then_that_of_dotenv(tmp_path, given, dotenv, expected):
    (tmp_path / ".env").write_text(dotenv)

    assert find_var_dir(given, tmp_path) == tmp_path / expected
    assert find_var_dir({"VAR_DIR": "/absolute"}, tmp_path) == Path("/absolute")


def test_empty_value_hides_none_of_a_lower_layer(tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "installers.env").write_text("A=pip\nB=pip\nC=pip\nD=pip\n")
    (tmp_path / "var" / "embedded.env").write_text("A=stack\nB=stack\nC=stack\n")
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\nC=\n")

    values = read_values({"A": "process", "B": ""}, tmp_path)

    assert values == {"A": "process", "B": "dotenv", "C": "stack", "D": "pip"}


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A checkout whose `.env` names a state directory in quotes."""
    # Not pytest's own temporary directory: that is closed, and the state directory would be moved away.
    root = Path(tempfile.mkdtemp(dir="/tmp", prefix="envfile-"))
    root.chmod(0o755)
    for name in ("orchestrator", "apps/infra", "apps/units", "apps/workers", "scripts", "worker_image"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "locale"))
    for name in ("manage.py", "apps/__init__.py", "apps/errors.py"):
        shutil.copy(ROOT / name, root / name)
    (root / ".env").write_text('# where\nVAR_DIR="state"\nDATABASE_URL=\n')
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize(
    ("argv", "made"),
    [
        (("scripts/bench.py",), "state/bench/latest.json"),
        (("-m", "orchestrator.embedded", "status"), "state/run"),
        (("-m", "orchestrator.stack", "status"), "state/run"),
        (
            ("-c", "import runpy; m = runpy.run_path('scripts/setup.py'); m['main'].__globals__.update("
             "ensure_environment=lambda _: None, warm_cache=lambda _: None); m['main']()"),
            "state/bootstrap",
        ),
    ],
)  # fmt: skip
def test_every_program_takes_the_state_directory_of_dotenv(checkout, argv, made):
    env = {"PATH": os.defpath, "PYTHONPATH": str(checkout), "VAR_DIR": ""}

    run = subprocess.run([sys.executable, *argv], cwd=checkout, env=env, capture_output=True, text=True)

    assert (checkout / made).exists(), run.stderr
    assert not (checkout / "var").exists()


def test_doctor_takes_the_state_directory_of_dotenv_and_its_servers(checkout):
    (checkout / "state").mkdir(mode=0o700)
    (checkout / "state" / "embedded.env").write_text("DATABASE_URL=postgresql://me:secret@127.0.0.1:1/x\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(checkout)}

    argv = [sys.executable, "manage.py", "doctor"]
    run = subprocess.run(argv, cwd=checkout, env=env, capture_output=True, text=True)

    assert "GiB free for state/" in run.stdout, run.stderr
    assert "DATABASE_URL: 127.0.0.1:1 does not answer" in run.stdout
    assert "secret" not in run.stdout
