"""A whole scaffold on GitHub: what it leaves there, and how often it asks."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from apps.projects.models import Project, ProjectStatus
from apps.projects.reconciler import reconcile_project
from apps.projects.tools import Tools
from tests.factories import make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def project() -> Project:
    return make_project(forge="github", status=ProjectStatus.SCAFFOLDING, slug="book-list", name="Book list")


def tools_of(forge, place: Path) -> Tools:
    return Tools(forge=forge, hosting=forge, scratch=place / "scratch")


def test_scaffold_leaves_a_protected_repository_and_asks_at_most_ten_times(
    github, connect, project, tmp_path
):
    with github.stage.counting() as calls:
        reconcile_project(project_id=project.pk, tools=tools_of(connect(), tmp_path))

    project.refresh_from_db()
    held = github.find(github.org, "book-list")
    assert (project.status, project.failure) == (ProjectStatus.ACTIVE, None)
    assert (project.repository_id, project.head_sha) == (str(held.id), project.scaffold_sha)
    assert held.protection["main"]["required_status_checks"]["strict"] is True
    assert calls.total() <= 10, dict(calls)


@pytest.mark.parametrize("broken", ["POST /orgs", "PUT .*protection", "GET .*protection", "POST /app"])
def test_scaffold_that_was_interrupted_is_finished_by_the_next(broken, github, connect, project, tmp_path):
    Project.objects.filter(pk=project.pk).update(deadline_at=timezone.now() + timedelta(minutes=5))
    github.stage.fail(1, calls=broken)

    reconcile_project(project_id=project.pk, tools=tools_of(connect(), tmp_path))
    project.refresh_from_db()
    between = project.status
    reconcile_project(project_id=project.pk, tools=tools_of(connect(), tmp_path))

    project.refresh_from_db()
    assert (between, project.status) == (ProjectStatus.SCAFFOLDING, ProjectStatus.ACTIVE)
    assert len(github.repositories) == 1


def test_name_of_a_stranger_ends_the_scaffold_with_what_to_do(github, connect, project, tmp_path):
    github.create_repository("book-list")

    reconcile_project(project_id=project.pk, tools=tools_of(connect(), tmp_path))

    project.refresh_from_db()
    assert (project.status, project.failure["code"]) == (ProjectStatus.FAILED, "repository_taken")
    assert "rename or delete it" in project.failure["message"]
