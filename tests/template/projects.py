"""Makes generated projects and runs their commands."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

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
    """Render a project and commit it."""
    answers = TemplateAnswers(
        project_name="Rendered",
        project_slug="rendered",
        project_description=description,
        modules=modules,
    )
    templating.render(directory, answers=answers)
    for arguments in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "Start"]):
        identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *identity, *arguments], cwd=directory, check=True)
    return directory
