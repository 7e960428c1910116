"""The tasks are thin: one hand per row, lost races are quiet, and the sweep finds what a message lost."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps import storage
from apps.enqueue import advisory_lock
from apps.projects import composition, garbage, services, tasks
from apps.projects.models import IdempotencyRecord, MergeRequest, Project, ProjectStatus
from tests.factories import make_merge_request, make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]

RECONCILE_PROJECT = tasks.reconcile_project.name
RECONCILE_CHANGE = tasks.reconcile_merge_request.name


@pytest.fixture(autouse=True)
def places(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.FORGE_DIR = tmp_path / "forge"
    settings.MEDIA_ROOT = tmp_path / "storage"


def forget(row: Any, **columns: Any) -> None:
    before = timezone.now() - timedelta(minutes=1)
    type(row).objects.filter(pk=row.pk).update(status_changed_at=before, **columns)


def swept(enqueued: list[Any], callbacks: Any) -> list[Any]:
    with callbacks(execute=True):
        tasks.sweep_projects()
    return enqueued


class TestReconcile:
    def test_project_is_scaffolded_with_the_configured_forge(self, tmp_path):
        project = make_project(slug="books")
        services.request_scaffold(project_id=project.pk)

        tasks.reconcile_project(project_id=str(project.pk))

        assert project.reload().status == ProjectStatus.ACTIVE, project.failure
        assert (tmp_path / "forge" / "books.git").is_dir()

    @pytest.mark.django_db(transaction=True)
    def test_row_that_somebody_else_works_on_is_left_alone(self, run_together):
        project = make_project(status=ProjectStatus.SCAFFOLDING)

        with advisory_lock("project", project.pk):
            answers = run_together(lambda: tasks.reconcile_project(project_id=str(project.pk)), 1)

        assert answers == [None]
        assert project.reload().scaffold_attempts == 0

    @pytest.mark.django_db(transaction=True)
    def test_several_messages_at_once_make_one_repository(self, run_together):
        project = make_project(slug="books")
        services.request_scaffold(project_id=project.pk)

        answers = run_together(lambda: tasks.reconcile_project(project_id=str(project.pk)), 4)

        assert answers == [None] * 4
        assert project.reload().status == ProjectStatus.ACTIVE, project.failure

    def test_message_about_a_row_that_is_gone_is_harmless(self):
        tasks.reconcile_project(project_id=str(uuid4()))
        tasks.reconcile_merge_request(merge_request_id=str(uuid4()))

        assert not Project.objects.exists()


class TestSweep:
    def test_waiting_rows_are_enqueued_and_others_are_not(self, enqueued, django_capture_on_commit_callbacks):
        waiting = make_project(status=ProjectStatus.SCAFFOLDING)
        pending, merging = make_merge_request(), make_merge_request(status="merging")
        opened = make_merge_request(status="open")
        for row in (waiting, pending, merging, opened, make_project()):
            forget(row)

        swept(enqueued, django_capture_on_commit_callbacks)

        assert sorted(enqueued, key=str) == sorted(
            [
                (RECONCILE_PROJECT, {"project_id": str(waiting.pk)}),
                (RECONCILE_CHANGE, {"merge_request_id": str(pending.pk)}),
                (RECONCILE_CHANGE, {"merge_request_id": str(merging.pk)}),
            ],
            key=str,
        )

    def test_row_that_was_just_looked_at_is_left_to_its_owner(
        self, enqueued, django_capture_on_commit_callbacks
    ):
        project = make_project(status=ProjectStatus.SCAFFOLDING)
        forget(project, heartbeat_at=timezone.now())
        make_project(status=ProjectStatus.SCAFFOLDING)

        swept(enqueued, django_capture_on_commit_callbacks)

        assert enqueued == []

    def test_row_whose_owner_died_is_enqueued_again(self, enqueued, django_capture_on_commit_callbacks):
        project = make_project(status=ProjectStatus.SCAFFOLDING)
        forget(project, heartbeat_at=timezone.now() - timedelta(seconds=10))

        swept(enqueued, django_capture_on_commit_callbacks)

        assert len(enqueued) == 1

    def test_without_any_message_the_sweep_alone_brings_a_project_to_its_end(
        self, enqueued, django_capture_on_commit_callbacks
    ):
        project = make_project(slug="books")
        services.request_scaffold(project_id=project.pk)
        forget(project)

        for name, arguments in list(swept(enqueued, django_capture_on_commit_callbacks)):
            assert name == RECONCILE_PROJECT
            tasks.reconcile_project(**arguments)

        assert project.reload().status == ProjectStatus.ACTIVE


class TestGarbage:
    def test_collection_is_handed_to_a_process_that_may_write_the_storage(
        self, enqueued, django_capture_on_commit_callbacks
    ):
        with django_capture_on_commit_callbacks(execute=True):
            tasks.workspace_gc()

        assert enqueued == [("projects.collect_garbage", {})]

    def test_old_bundles_go_and_those_of_active_rows_stay(self, tmp_path):
        file = tmp_path / "file"
        file.write_bytes(b"bundle")
        change = make_merge_request(bundle_name=storage.checkout_name(merge_request_id=uuid4()))
        orphan = storage.checkout_name(merge_request_id=uuid4())
        for name in (change.bundle_name, orphan):
            storage.save_bundle(file, name=name)

        removed = garbage.collect(
            scratch=tmp_path / "scratch", now=timezone.now() + timedelta(days=7, minutes=1)
        )

        assert removed == [orphan]
        assert MergeRequest.objects.get().bundle_name == change.bundle_name

    def test_answers_kept_for_repeats_go_after_a_week(self):
        old, young = (
            IdempotencyRecord.objects.create(principal="user:1", key=key, request_sha256="ab" * 32)
            for key in ("old", "young")
        )
        for row, age in ((old, timedelta(days=7, minutes=1)), (young, timedelta(days=6, hours=23))):
            IdempotencyRecord.objects.filter(pk=row.pk).update(created_at=timezone.now() - age)

        tasks.collect_garbage()

        assert list(IdempotencyRecord.objects.all()) == [young]

    def test_temporary_directories_of_killed_processes_go_after_a_day(self, tmp_path):
        scratch = composition.scratch()
        (scratch / "scaffold-x" / "project").mkdir(parents=True)

        garbage.collect(scratch=scratch, now=timezone.now() + timedelta(hours=23))
        young = list(scratch.iterdir())
        garbage.collect(scratch=scratch, now=timezone.now() + timedelta(hours=25))

        assert len(young) == 1
        assert list(scratch.iterdir()) == []
