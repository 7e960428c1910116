"""The measurement of a scaffold works; its bar is judged by `make bench` on a quiet machine."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from apps.projects import composition, reconciler, services
from apps.projects.models import ForgeName, Module, ProjectStatus
from tests.factories import make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]

#: The first one reads the template; its time counts like any other.
PROJECTS = 5


def test_scaffold_on_the_local_forge_is_measured(
    settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MEDIA_ROOT, settings.VAR_DIR = tmp_path / "storage", tmp_path / "var"
    settings.FORGE_DIR = tmp_path / "forge"
    tools = composition.get_tools(ForgeName.LOCAL)
    projects = [make_project(modules=list(Module.values)) for _ in range(PROJECTS)]
    seconds = []

    for project in projects:
        services.request_scaffold(project_id=project.pk)
        began = time.perf_counter()
        reconciler.reconcile_project(project_id=project.pk, tools=tools)
        seconds.append(round(time.perf_counter() - began, 3))

    with capsys.disabled():
        figures = {"projects": PROJECTS, "median": statistics.median(seconds), "slowest": max(seconds)}
        print(f" scaffold {json.dumps(figures)}")
    assert [project.reload().status for project in projects] == [ProjectStatus.ACTIVE] * PROJECTS
