"""A repository of a few lines with the manifest's three commands, and a bundle of it."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from apps import storage

COMMANDS = {"setup": "make setup", "check": "make check", "tests": "make tests-list"}
PROTECTED = ("project.yaml", "Makefile", "run_tests.py", ".github/**")

MAKEFILE = """\
setup:
\t@echo installing >> .setups
\t@mkdir -p .venv && echo tool > .venv/tool
tests-list:
\t@python3 run_tests.py --list
check:
\t@python3 run_tests.py
"""

RUN_TESTS = """\
import importlib.util, pathlib, sys
from xml.sax.saxutils import quoteattr

def tests():
    for path in sorted(pathlib.Path("tests").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name in sorted(vars(module)):
            if name.startswith("test_"):
                yield path, name, getattr(module, name)

if "--list" in sys.argv:
    for path, name, _ in tests():
        print(f"{path}::{name}")
    sys.exit(0)
cases, failed = [], 0
for path, name, test in tests():
    inner = ""
    if getattr(test, "skip", False):
        inner = "<skipped/>"
    else:
        try:
            test()
        except Exception as error:
            failed += 1
            inner = "<failure/>"
            print("FAILED", path, name, repr(error))
    case = f"classname={quoteattr('tests.' + path.stem)} name={quoteattr(name)}"
    cases.append(f"<testcase {case}>{inner}</testcase>")
reports = pathlib.Path(".reports")
reports.mkdir(exist_ok=True)
(reports / "junit.xml").write_text("<testsuite>" + "".join(cases) + "</testsuite>")
sys.exit(bool(failed))
"""

BASE = {
    "Makefile": MAKEFILE,
    "run_tests.py": RUN_TESTS,
    "project.yaml": "version: 1\n",
    ".gitignore": ".venv\n.setups\n.reports\n__pycache__\n",
    "requirements.txt": "one==1\n",
    "app.py": "def add(a, b):\n    return a + b\n",
    "tests/test_app.py": "import sys; sys.path.insert(0, '.')\nimport app\n\n"
    "def test_add():\n    assert app.add(1, 2) == 3\n\ndef test_zero():\n    assert app.add(0, 0) == 0\n",
}


@dataclass(frozen=True)
class Change:
    """Two commits and the bundle that holds them."""

    base_sha: str
    head_sha: str
    bundle: Path


def make_change(directory: Path, files: dict[str, str | None]) -> Change:
    """Commit the base, then a change of some files (None deletes), and bundle both."""
    tree = directory / "tree"
    tree.mkdir()
    _git(tree, "init", "--quiet", "--initial-branch=main")
    base_sha = _commit(tree, dict(BASE))
    head_sha = _commit(tree, files)
    bundle = directory / "change.bundle"
    _git(tree, "bundle", "create", "--quiet", str(bundle), "main")
    return Change(base_sha, head_sha, bundle)


def stored(change: Change) -> tuple[str, str]:
    """Put a bundle into the shared storage; returns its name and digest."""
    name = storage.checkout_name(merge_request_id=uuid4())
    storage.save_bundle(change.bundle, name=name)
    return name, hashlib.sha256(change.bundle.read_bytes()).hexdigest()


def _commit(tree: Path, files: dict[str, str | None]) -> str:
    for name, content in files.items():
        path = tree / name
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    _git(tree, "add", "--all", "--force")
    _git(tree, "commit", "--quiet", "--allow-empty", "--message", "change")
    return _git(tree, "rev-parse", "HEAD").strip()


def _git(tree: Path, *words: str) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True, text=True)
    return done.stdout
