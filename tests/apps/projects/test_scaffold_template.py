"""A project is scaffolded from the template that the settings name, or fails with words that help."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core import checks
from django.utils import timezone

from apps.projects import composition, reconciler, services
from apps.projects.forge.local import LocalForge
from apps.projects.git import Git
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
    assert (project.failure["kind"], project.failure["code"]) == ("platform", code)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Copier's open scandir
def test_template_that_fails_in_the_middle_leaves_nothing_and_a_repaired_one_finishes(
    configured: Any, project: Project, tmp_path: Path
) -> None:
    repository = Path(configured.SCAFFOLD_TEMPLATE)
    foreign.commit(repository, {"template/zz.md.jinja": "{{ 1 / 0 }}"}, tag="0.4.0")
    configured.SCAFFOLD_TEMPLATE_REF = "0.4.0"
    failure = _reconcile(project, tmp_path).failure
    left = [path.name for path in (tmp_path / "scratch").iterdir()]
    head = Git(repository=tmp_path / "forge" / "books.git").text("rev-list", "--all")

    foreign.commit(repository, {"template/zz.md.jinja": "whole"}, tag="0.4.1")
    configured.SCAFFOLD_TEMPLATE_REF = "0.4.1"
    services.request_scaffold(project_id=project.pk)
    _reconcile(project, tmp_path)

    assert failure is not None
    assert (failure["code"], failure["details"]["step"]) == ("template_failed", "render template")
    assert (left, head) == ([], "")
    assert (project.status, project.template_version) == (ProjectStatus.ACTIVE, "0.4.1"), project.failure


def test_project_waits_for_a_template_that_cannot_be_reached(
    configured: Any, project: Project, tmp_path: Path
) -> None:
    away = Path(configured.SCAFFOLD_TEMPLATE).rename(tmp_path / "away")
    configured.SCAFFOLD_TEMPLATE = f"file://{tmp_path}/theirs"
    Project.objects.filter(pk=project.pk).update(deadline_at=timezone.now() + timedelta(minutes=2))
    waiting = _reconcile(project, tmp_path).status

    away.rename(tmp_path / "theirs")
    _reconcile(project, tmp_path)

    assert waiting == ProjectStatus.SCAFFOLDING
    assert project.status == ProjectStatus.ACTIVE, project.failure


def test_module_that_the_table_does_not_know_fails_the_project_by_name(
    configured: Any, project: Project, tmp_path: Path
) -> None:
    Project.objects.filter(pk=project.pk).update(modules=["backend", "worker"])

    _reconcile(project, tmp_path)

    assert project.failure is not None
    assert project.failure["code"] == "template_unknown_module"
    assert project.failure["details"]["unknown"] == ["worker"]


def test_name_of_the_owner_can_be_asked_for(configured: Any, project: Project, tmp_path: Path) -> None:
    table = yaml.safe_load(foreign.MAPPING)
    table["answers"]["author_name"] = {"from": "owner"}
    configured.SCAFFOLD_TEMPLATE_MAP = json.dumps(table)

    _reconcile(project, tmp_path)

    answers = Git(repository=tmp_path / "forge" / "books.git").text("show", "main:.copier-answers.yml")
    assert yaml.safe_load(answers)["author_name"] == project.owner.get_username()


def _complaints() -> list[str]:
    return [found.msg for found in checks.run_checks() if found.id == "projects.E001"]


def test_template_that_can_be_used_passes_the_system_checks(configured: Any) -> None:
    assert _complaints() == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SCAFFOLD_TEMPLATE", "", "SCAFFOLD_TEMPLATE_REF is set without SCAFFOLD_TEMPLATE"),
        ("SCAFFOLD_TEMPLATE", "ssh://git.example/x", "SCAFFOLD_TEMPLATE is neither"),
        ("SCAFFOLD_TEMPLATE_REF", "", "SCAFFOLD_TEMPLATE_REF has to name"),
        ("SCAFFOLD_TEMPLATE_MAP", "/nonexistent/table.yaml", "SCAFFOLD_TEMPLATE_MAP cannot be read"),
        ("SCAFFOLD_TEMPLATE_MAP", '{"answers": {"a": {"form": "name"}}}', "wrong at answers.a.form"),
        ("SCAFFOLD_TEMPLATE_MAP", '{"answers": {"a": {"from": "modules", "rename": {"tg": "x"}}}}', "'tg'"),
        (
            "SCAFFOLD_TEMPLATE_MAP",
            '{"manifest": {"version": 1, "services": [{"module": "web"}]}}',
            "manifest.services.0.module",
        ),
        ("SCAFFOLD_TEMPLATE_MAP", '{"manifest": {"version": 1}}', "wrong at manifest.commands"),
    ],
)
def test_wrong_setting_is_refused_at_start_by_name(
    configured: Any, name: str, value: str, words: str
) -> None:
    setattr(configured, name, value)

    complaints = _complaints()

    assert len(complaints) == 1
    assert words in complaints[0]
