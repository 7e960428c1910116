"""Makes generated projects and runs their commands."""

import atexit
import os
import shutil
import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import mkdtemp

from apps.projects import templating
from apps.projects.templating import TemplateAnswers

TIMEOUT_SECONDS = 240
#: Every choice of modules there is.
COMBINATIONS = tuple(
    chosen
    for number in range(1, len(templating.known_modules()) + 1)
    for chosen in combinations(templating.known_modules(), number)
)


def make(
    project: Path, target: str, *, with_uv: bool = True, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a target of a generated project with a clean environment."""
    keep = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
    environment = keep | {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    uv = Path(sys.executable).parent / "uv" if with_uv else "there-is-no-uv"
    return subprocess.run(
        ["make", "--no-print-directory", target, f"UV={uv}"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


def create_project(directory: Path, description: str, *, modules: tuple[str, ...] = ("backend",)) -> Path:
    """Give a project of its own that is rendered and committed."""
    answers = TemplateAnswers(
        project_name="Rendered",
        project_slug="rendered",
        project_description=description,
        modules=modules,
    )
    return shutil.copytree(_committed(answers), directory)


def copy_rendered(answers: TemplateAnswers, directory: Path) -> Path:
    """Give a project of its own as the template makes it; each choice of answers is rendered once."""
    return shutil.copytree(_rendered(answers), directory)


@cache
def _rendered(answers: TemplateAnswers) -> Path:
    directory = _kept() / "project"
    templating.render(directory, answers=answers)
    return directory


@cache
def _committed(answers: TemplateAnswers) -> Path:
    directory = copy_rendered(answers, _kept() / "project")
    for arguments in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "Start"]):
        identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=directory, check=True)
    return directory


def _kept() -> Path:
    """Return a directory that is there until this process ends."""
    directory = Path(mkdtemp(prefix="rendered-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
