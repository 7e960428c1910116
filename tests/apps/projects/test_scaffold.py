"""A project becomes a repository: once, whole, whatever dies on the way."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps import storage
from apps.errors import Conflict
from apps.projects import reconciler, services, templating
from apps.projects.forge.base import RepositorySpec
from apps.projects.forge.local import LocalForge
from apps.projects.git import Git
from apps.projects.models import Project, ProjectStatus
from apps.projects.scaffold import RepositoryNotEmpty
from apps.projects.signals import project_changed
from apps.projects.templating import TemplateFailed, TemplateNotWritten
from tests.apps.projects.rig import (
    Killed,
    KillSwitch,
    fill,
    kills,
    late,
    make_tools,
    quick_render,
    small_disk,
    stored_names,
)
from tests.factories import MANIFEST, make_project
from tests.fakes_forge import FakeForge, GitSource

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def own_storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


@pytest.fixture
def forge(tmp_path: Path) -> LocalForge:
    return LocalForge(tmp_path / "forge")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def project() -> Project:
    project = make_project(name="Books", slug="books", description="An inventory\nкниг")
    services.request_scaffold(project_id=project.pk)
    return project.reload()


def reconcile(project: Project, forge: Any, scratch: Path, **changes: Any) -> Project:
    tools = make_tools(forge, scratch, **changes)
    reconciler.reconcile_project(project_id=project.pk, tools=tools)
    return project.reload()


def commits(forge_root: Path, slug: str = "books") -> list[str]:
    return Git(repository=forge_root / f"{slug}.git").text("rev-list", "--all").splitlines()


def test_project_becomes_active_with_everything_that_was_observed(project, forge, scratch, tmp_path):
    reconcile(project, forge, scratch)

    assert project.status == ProjectStatus.ACTIVE
    assert commits(tmp_path / "forge") == [project.head_sha] == [project.scaffold_sha]
    assert project.workspace_name == f"workspaces/{project.pk}/{project.head_sha}.bundle"
    assert storage.find_bundle(project.workspace_name).sha256 == project.workspace_sha256
    assert project.manifest["commands"] == MANIFEST["commands"]
    assert project.template_version == "7.0.0"
    assert project.repository_url.endswith("/books.git")
    assert project.repository_id
    assert project.failure is None


def test_workspace_can_be_cloned_and_holds_the_template(project, forge, scratch, tmp_path):
    reconcile(project, forge, scratch)

    storage.copy_to(project.workspace_name, tmp_path / "w.bundle", sha256=project.workspace_sha256)
    Git().run("clone", "--quiet", str(tmp_path / "w.bundle"), str(tmp_path / "clone"))
    assert "книг" in (tmp_path / "clone" / "README.md").read_text()


def test_real_template_is_rendered_and_its_manifest_read(project, forge, scratch):
    reconcile(project, forge, scratch, render=templating.render)

    assert project.status == ProjectStatus.ACTIVE, project.failure
    assert project.template_version == templating.template_version()
    assert [service["health"] for service in project.manifest["services"]] == ["/health"]


def test_longest_name_fits_the_template(forge, scratch):
    project = make_project(name="щ" * 99 + " " + "ж" * 20, slug="long", status=ProjectStatus.SCAFFOLDING)

    reconcile(project, forge, scratch, render=templating.render)

    assert project.status == ProjectStatus.ACTIVE, project.failure


def test_second_run_changes_nothing(project, forge, scratch, tmp_path):
    before = vars(reconcile(project, forge, scratch)).copy()
    names = stored_names()

    after = vars(reconcile(project, forge, scratch))

    assert {**before, "_state": None} == {**after, "_state": None}
    assert stored_names() == names
    assert len(commits(tmp_path / "forge")) == 1


def test_same_row_gives_the_same_commit_on_any_forge(project, forge, scratch, tmp_path):
    first = reconcile(project, forge, scratch).head_sha
    Project.objects.filter(pk=project.pk).update(
        status="scaffolding", scaffold_sha="", repository_id="", head_sha=""
    )

    second = reconcile(project, LocalForge(tmp_path / "other"), scratch).head_sha

    assert first == second


CALLS_OF_A_WHOLE_RUN = 8


@pytest.mark.parametrize(("at", "after"), kills(CALLS_OF_A_WHOLE_RUN))
def test_death_at_any_call_is_adopted(project, forge, scratch, tmp_path, at, after):
    switch = KillSwitch(at=at, after=after)
    with pytest.raises(Killed):
        reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(make_tools(forge, scratch)))
    interrupted = project.reload().status

    reconcile(project, forge, scratch)

    assert interrupted == ProjectStatus.SCAFFOLDING
    assert project.status == ProjectStatus.ACTIVE
    assert commits(tmp_path / "forge") == [project.head_sha]
    assert stored_names() == {project.workspace_name}
    assert list(scratch.iterdir()) == []


def test_the_kills_above_cover_every_call(project, forge, scratch):
    switch = KillSwitch()

    reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(make_tools(forge, scratch)))

    assert len(switch.calls) == CALLS_OF_A_WHOLE_RUN, switch.calls


def test_renaming_between_two_attempts_does_not_fork_the_history(project, forge, scratch, tmp_path):
    switch = KillSwitch(at=4, after=True)
    with pytest.raises(Killed, match="push"):
        reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(make_tools(forge, scratch)))
    services.update_project(project_id=project.pk, name="Library")

    reconcile(project, forge, scratch)

    assert project.status == ProjectStatus.ACTIVE
    assert len(commits(tmp_path / "forge")) == 1


def test_foreign_history_is_a_typed_failure_and_stays(project, forge, scratch, tmp_path):
    source = GitSource(tmp_path / "foreign.git")
    foreign = source.commit_files({"README.md": b"Somebody else's\n"})
    repository = forge.ensure_repository(RepositorySpec(project_id=str(project.pk), name="books"))
    forge.push(repository, source=source.path, sha=foreign, branch="main", expected=None)

    reconcile(project, forge, scratch)

    assert project.status == ProjectStatus.FAILED
    assert project.failure["code"] == "repository_not_empty"
    assert (project.failure["stage"], project.failure["details"]["step"]) == ("scaffold", "push")
    assert not project.failure["retryable"]
    assert commits(tmp_path / "forge") == [foreign]


def test_name_taken_by_another_project_is_a_typed_failure(project, forge, scratch):
    forge.ensure_repository(RepositorySpec(project_id="another", name="books"))

    reconcile(project, forge, scratch)

    assert project.failure["code"] == "repository_taken"
    assert project.failure["details"]["step"] == "create repository"


def test_template_that_fails_to_render_is_a_product_failure_and_can_be_asked_again(
    project, forge, scratch, tmp_path
):
    def broken(destination: Path, **_: Any) -> Any:
        raise TemplateFailed("The template could not be rendered: unexpected '}'")

    reconcile(project, forge, scratch, render=broken)
    failure = dict(project.failure)
    services.request_scaffold(project_id=project.pk)
    reconcile(project.reload(), forge, scratch)

    assert (failure["kind"], failure["code"]) == ("platform", "template_failed")
    assert failure["details"]["step"] == "render template"
    assert project.status == ProjectStatus.ACTIVE
    assert project.failure is None
    assert len(commits(tmp_path / "forge")) == 1
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("manifest", [None, "version: 9\n", "{"])
def test_template_without_a_usable_manifest_is_a_product_failure(project, forge, scratch, manifest):
    def render(destination: Path, *, answers: Any) -> Any:
        result = quick_render(destination, answers=answers)
        (destination / "project.yaml").unlink()
        if manifest is not None:
            (destination / "project.yaml").write_text(manifest)
        return result

    reconcile(project, forge, scratch, render=render)

    assert project.status == ProjectStatus.FAILED
    assert project.failure["code"] in {"manifest_missing", "manifest_invalid"}
    assert project.failure["details"]["step"] == "read manifest"
    assert project.head_sha == ""


class TestUnavailable:
    def test_silent_forge_is_waited_for_until_the_deadline(self, project, scratch):
        forge = FakeForge()
        forge.down = True

        waiting = reconcile(project, forge, scratch).status
        reconcile(project, forge, scratch, now=late)

        assert waiting == ProjectStatus.SCAFFOLDING
        assert project.status == ProjectStatus.FAILED
        assert (project.failure["code"], project.failure["kind"]) == ("forge_unavailable", "platform")
        assert project.failure["retryable"]

    def test_project_continues_when_the_forge_is_back(self, project, scratch):
        forge = FakeForge()
        forge.down = True
        reconcile(project, forge, scratch)
        forge.down = False

        reconcile(project, forge, scratch)

        assert project.status == ProjectStatus.ACTIVE
        assert project.scaffold_attempts == 2

    def test_verbs_are_called_in_the_order_of_the_port(self, project, scratch):
        forge = FakeForge()

        reconcile(project, forge, scratch)

        assert forge.calls == ["ensure_repository", "head", "push", "head", "read_file", "export_bundle"]

    def test_lost_repository_is_not_replaced_by_an_empty_one(self, project, scratch):
        forge = FakeForge()
        reconcile(project, forge, scratch)
        forge.lose("books")
        Project.objects.filter(pk=project.pk).update(status="scaffolding")

        reconcile(project, forge, scratch)

        assert (project.status, project.failure["code"]) == (ProjectStatus.FAILED, "repository_not_found")

    def test_attempts_without_an_answer_are_bounded(self, project, forge, scratch):
        Project.objects.filter(pk=project.pk).update(scaffold_attempts=reconciler.MAX_ATTEMPTS)

        reconcile(project, forge, scratch)

        assert project.status == ProjectStatus.FAILED
        assert (project.failure["code"], project.failure["retryable"]) == ("attempts_exhausted", True)

    def test_attempt_is_counted_before_it_is_made(self, project, forge, scratch):
        switch = KillSwitch(at=1)

        with pytest.raises(Killed):
            reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(make_tools(forge, scratch)))

        assert project.reload().scaffold_attempts == 1
        assert project.heartbeat_at is not None


def _full(destination: Path, **_: Any) -> Any:
    raise TemplateNotWritten("The disk is full", code="disk_full")


def _no_space(path: Path, *, name: str) -> Any:
    with storage.file_errors():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestFullDisk:
    @pytest.mark.parametrize(
        ("changes", "step"),
        [({"render": _full}, "render template"), ({"save_bundle": _no_space}, "export workspace")],
    )
    def test_step_that_finds_no_space_is_named_and_repeated(self, project, forge, scratch, changes, step):
        waiting = reconcile(project, forge, scratch, **changes).status
        failed = dict(reconcile(project, forge, scratch, now=late, **changes).failure)
        services.request_scaffold(project_id=project.pk)
        reconcile(project.reload(), forge, scratch)

        assert waiting == ProjectStatus.SCAFFOLDING
        assert (failed["code"], failed["kind"], failed["details"]["step"]) == ("disk_full", "platform", step)
        assert project.status == ProjectStatus.ACTIVE

    @pytest.mark.parametrize("place", ["forge", "scratch", "storage"])
    def test_really_full_disk_leaves_no_half_made_project(self, project, tmp_path, place):
        with small_disk(tmp_path / place) as mounted:
            if not mounted:
                pytest.skip("this machine does not let us mount a small disk")
            ballast = fill(tmp_path / place)
            forge, scratch = LocalForge(tmp_path / "forge"), tmp_path / "scratch"
            waiting = reconcile(project, forge, scratch).status
            leftovers = set((tmp_path / "scratch").glob("*")) - {ballast}
            head = project.head_sha
            ballast.unlink()
            reconcile(project, forge, scratch)
            pushed = commits(tmp_path / "forge")

        assert waiting == ProjectStatus.SCAFFOLDING
        assert head == ""
        assert leftovers == set()
        assert project.status == ProjectStatus.ACTIVE, project.failure
        assert pushed == [project.head_sha]


@pytest.fixture
def changed() -> Iterator[list[Any]]:
    seen: list[Any] = []

    def note(project_id: Any, **_: Any) -> None:
        seen.append(project_id)

    project_changed.connect(note)
    yield seen
    project_changed.disconnect(note)


def test_others_are_told_once_when_it_is_over(
    project, forge, scratch, changed, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        reconcile(project, forge, scratch)
        reconcile(project, forge, scratch)

    assert changed == [project.pk]


@pytest.mark.parametrize("status", ["draft", "active", "failed", "archived"])
def test_project_that_does_not_ask_is_left_alone(scratch, status):
    project, forge = make_project(status=status), FakeForge()

    reconcile(project, forge, scratch)

    assert forge.calls == []
    assert project.scaffold_attempts == 0


def test_foreign_history_says_look_again():
    assert issubclass(RepositoryNotEmpty, Conflict)
