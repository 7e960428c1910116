"""The workflow and the control plane's image name only what there is."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.unit

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps() -> Iterator[dict[str, Any]]:
    for job in WORKFLOW["jobs"].values():
        yield from job["steps"]


def commands() -> Iterator[list[str]]:
    for step in steps():
        for line in step.get("run", "").splitlines():
            yield shlex.split(line)


def management_commands() -> set[str]:
    found = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    return found | {path.stem for path in ROOT.glob("apps/*/management/commands/*.py")} | {"migrate"}


def test_every_step_of_the_workflow_runs_or_uses_something() -> None:
    assert all(("run" in step) != ("uses" in step) for step in steps())
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps() if "uses" in step)
    assert all(0 < job["timeout-minutes"] <= 60 for job in WORKFLOW["jobs"].values())


def test_workflow_runs_the_commands_of_the_readme_and_only_such_as_exist() -> None:
    targets, others = set(), []
    for words in commands():
        if words[0] == "make":
            targets.update(word for word in words[1:] if "=" not in word)
        else:
            others.append(words)

    assert {"demo", "test", "lint", "down", "test-integration"} <= targets <= TARGETS
    assert [words[:2] for words in others] == [[".venv/bin/python", "manage.py"]]
    assert all(words[2] in management_commands() for words in others)


def test_workflows_python_is_one_the_project_runs_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    versions = {step["with"]["python-version"] for step in steps() if "setup-python" in step.get("uses", "")}

    assert versions == {"3.11"}
    assert project["requires-python"].startswith(">=3.11")


def test_image_copies_what_is_not_ignored_and_its_base_can_be_chosen() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().split()

    sources = [words[1] for words in map(str.split, lines) if words[:1] == ["COPY"]]

    assert "FROM ${PYTHON_IMAGE}" in lines
    assert COMPOSED["services"]["web"]["build"]["args"]["PYTHON_IMAGE"].startswith("${PYTHON_IMAGE:-")
    assert all((ROOT / source).exists() and source.rstrip("/") not in ignored for source in sources)
    assert {".git", ".env", "var", ".venv"} <= set(ignored)
