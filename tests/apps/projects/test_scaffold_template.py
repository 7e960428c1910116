"""A project is scaffolded from the template that the settings name, or fails with words that help."""

from pathlib import Path
from typing import Any

import pytest

from apps.projects import composition, reconciler
from apps.projects.forge.local import LocalForge
from apps.projects.models import Project, ProjectStatus
from tests.apps.projects.rig import make_tools
from tests.factories import make_project
from tests.template import foreign

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project() -> Project:
    return make_project(
        slug="books",
        status=ProjectStatus.SCAFFOLDING,
        modules=["backend", "telegram"],
        description="an inventory",
    )


@pytest.fixture
def configured(settings: Any, tmp_path: Path) -> Any:
    """Settings that name a template of another make."""
    table = tmp_path / "mapping.yaml"
    table.write_text(foreign.MAPPING, encoding="utf-8")
    repository = foreign.make_repository(tmp_path / "theirs", foreign.FILES, tag="0.3.5")
    settings.SCAFFOLD_TEMPLATE = str(repository)
    settings.SCAFFOLD_TEMPLATE_REF = "0.3.5"
    settings.SCAFFOLD_TEMPLATE_MAP = str(table)
    settings.VAR_DIR = tmp_path / "var"
    return settings


def _reconcile(project: Project, tmp_path: Path) -> Project:
    tools = make_tools(
        LocalForge(tmp_path / "forge"), tmp_path / "scratch", render=composition.render_project
    )
    reconciler.reconcile_project(project_id=project.pk, tools=tools)
    return project.reload()


def test_template_of_another_make_is_scaffolded_with_its_mapped_manifest(
    configured: Any, project: Project, tmp_path: Path
) -> None:
    _reconcile(project, tmp_path)

    assert project.status == ProjectStatus.ACTIVE, project.failure
    assert project.template_version == "0.3.5"
    assert project.manifest is not None
    assert project.manifest["commands"]["check"] == "make lint tests"
    assert [service["name"] for service in project.manifest["services"]] == ["backend", "tg-bot"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SCAFFOLD_TEMPLATE_REF", "9.9.9", "template_ref_missing"),
        ("SCAFFOLD_TEMPLATE_REF", "", "template_source_invalid"),
        ("SCAFFOLD_TEMPLATE", "/nonexistent/template", "template_source_invalid"),
        ("SCAFFOLD_TEMPLATE_MAP", "/nonexistent/table.yaml", "template_mapping_invalid"),
    ],
)
def test_unusable_template_fails_the_project_by_name(
    configured: Any, project: Project, tmp_path: Path, name: str, value: str, code: str
) -> None:
    setattr(configured, name, value)

    _reconcile(project, tmp_path)

    assert project.status == ProjectStatus.FAILED
    assert project.failure is not None
    assert project.failure["code"] == code
