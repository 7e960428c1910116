"""Tiny projects, and the driver as a process in a directory of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from worker_image.verify.schema import Report, read_report

REPOSITORY = Path(__file__).resolve().parents[3]
PROTECTED = ["Makefile", "run.py", "tests/conftest.py"]
MAKEFILE = "setup:\n\t@mkdir -p .venv\n\ncheck:\n\t@python3 run.py\n\ntests-list:\n\t@python3 run.py --list\n"
#: A test runner in a few lines: fast, and its report looks like that of the great ones.
RUN = """\
import pathlib, sys
found = {}
for path in sorted(pathlib.Path("tests").glob("test_*.py")):
    names = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    found |= {(path.stem, name): test for name, test in names.items() if name.startswith("test_")}
if "--list" in sys.argv:
    print("\\n".join(f"tests/{stem}.py::{name}" for stem, name in found))
    sys.exit(0)
cases, bad = "", 0
for (stem, name), test in found.items():
    inner = ""
    try:
        inner = "<skipped/>" if test == "skip" else test() or ""
    except AssertionError as error:
        inner, bad = "<failure/>", 1
        print("FAILED", name, error)
    cases += f'<testcase classname="tests.{stem}" name="{name}">{inner}</testcase>'
pathlib.Path(".reports").mkdir(exist_ok=True)
pathlib.Path(".reports/junit.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
sys.exit(bad)
"""
BASE = {
    ".gitignore": ".venv\n.reports\n",
    "Makefile": MAKEFILE,
    "run.py": RUN,
    "tests/test_a.py": "def test_one(): pass\ndef test_two(): assert 1 + 1 == 2\n",
}
COMMANDS = {"setup": "make setup", "check": "make check", "tests": "make tests-list"}


@dataclass
class Proof:
    """How the driver ended."""

    exit_code: int
    content: bytes | None
    output: str

    @property
    def report(self) -> Report:
        report = read_report(self.content)
        assert report is not None, self.output
        return report


@dataclass
class Rig:
    """A repository with a base and a head, and a work directory."""

    place: Path
    base_sha: str = ""
    head_sha: str = ""
    process: "subprocess.Popen[str] | None" = None
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.place / "work"

    def commit(self, files: dict[str, str | None]) -> str:
        """Write, or with None delete, files and commit them."""
        origin = self.place / "origin"
        if not origin.exists():
            origin.mkdir()
            git(origin, "init", "--quiet", "--initial-branch=main")
        for name, content in files.items():
            path = origin / name
            if content is None:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        git(origin, "add", "--all", "--force")
        git(origin, "commit", "--quiet", "--allow-empty", "-m", "Change")
        return git(origin, "rev-parse", "HEAD")

    def prepare(self, change: dict[str, str | None], base: dict[str, str | None] | None = None) -> None:
        """Commit base and head and write the driver's inputs."""
        self.base_sha = self.commit({**BASE, **(base or {})})
        self.head_sha = self.commit(change)
        (self.place / "input").mkdir()
        self.work.mkdir()
        git(self.place / "origin", "bundle", "create", "--quiet", "../input/change.bundle", "main", "HEAD")

    def start(self, **fields: Any) -> "subprocess.Popen[str]":
        """Start the driver as it is started in a unit."""
        document = {
            "base_sha": self.base_sha,
            "head_sha": self.head_sha,
            "commands": COMMANDS,
            "protected": PROTECTED,
            "allow_removed_tests": False,
            **fields,
        }
        (self.place / "input" / "spec.json").write_text(json.dumps(document))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker_image.verify", "--spec", "spec.json"],
            cwd=self.work,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": str(REPOSITORY),
                "HOME": str(self.place),
                "INPUT_DIR": str(self.place / "input"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.process

    def finish(self) -> Proof:
        """Wait for the driver."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=60)
        path = self.work / "report.json"
        return Proof(self.process.returncode, path.read_bytes() if path.is_file() else None, output)

    def prove(
        self,
        change: dict[str, str | None],
        base: dict[str, str | None] | None = None,
        **fields: Any,
    ) -> Proof:
        """Run the driver on a base and a change of it."""
        self.prepare(change, base)
        self.start(**fields)
        return self.finish()


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgSign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def rig() -> Iterator[Rig]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="verify-"))
    rig = Rig(directory)
    yield rig
    if rig.process is not None and rig.process.poll() is None:
        rig.process.kill()
        rig.process.communicate()
    shutil.rmtree(directory, ignore_errors=True)
