"""What the writers accept, refuse, and do twice."""

from uuid import uuid4

import pytest
from django.db import connection

from apps.errors import Conflict, Invalid, NotFound
from apps.failures import Failure, FailureKind
from apps.lifecycle import IllegalTransition
from apps.projects import selectors, services, tasks
from apps.projects.models import (
    MergeRequest,
    MergeRequestStatus,
    Project,
    ProjectSecret,
    ProjectStatus,
    Task,
    TaskStatus,
    TaskType,
)
from tests.factories import make_merge_request, make_project, make_secret, make_sha, make_task, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def create(**changes):
    words = {"name": "Books", "description": "An inventory", "modules": ["backend"]}
    return services.create_project(owner_id=make_user().pk, **{**words, **changes})


def propose(task, **changes):
    worker, digest = uuid4(), "ab" * 32
    fields = {
        "idempotency_key": "run-1/propose/1",
        "project_id": task.project_id,
        "task_id": task.pk,
        "title": "Add books",
        "branch": "task/0a1b2c3d-1",
        "base_sha": make_sha(),
        "head_sha": make_sha(),
        "bundle_name": f"snapshots/{worker}/{digest}.bundle",
        "bundle_sha256": digest,
    }
    return services.propose_change(**{**fields, **changes})


class TestCreateProject:
    def test_draft_is_written_and_nothing_is_enqueued(self, django_capture_on_commit_callbacks, enqueued):
        with django_capture_on_commit_callbacks(execute=True):
            project_id = create(name="  Books of mine ")

        project = Project.objects.get(pk=project_id)
        assert (project.name, project.slug) == ("Books of mine", "books-of-mine")
        assert (project.status, project.modules) == (ProjectStatus.DRAFT, ["backend"])
        assert enqueued == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": " \n\t "}, "name"),
            ({"name": "x" * 10_000}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"name": "a\x00b"}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "a\u2028b"}, "name"),
            ({"name": "a\ud800b"}, "name"),
            ({"description": "x" * 10_001}, "description"),
            ({"description": "bell \x07"}, "description"),
            ({"description": "nul \x00"}, "description"),
            ({"description": "escape \x1b[31m"}, "description"),
            ({"modules": []}, "modules"),
            ({"modules": ["telepathy"]}, "modules"),
            ({"modules": ["backend", "backend"]}, "modules"),
        ],
    )
    def test_bad_words_are_refused_with_their_field_and_no_row(self, changes, field):
        with pytest.raises(Invalid) as refusal:
            create(**changes)

        assert list(refusal.value.details) == [field]
        assert not Project.objects.exists()

    def test_all_problems_are_reported_at_once(self):
        with pytest.raises(Invalid) as refusal:
            create(name="", description="\x00", modules=["x"])

        assert set(refusal.value.details) == {"name", "description", "modules"}

    @pytest.mark.parametrize(
        "description",
        ["", "Учёт книг\nс автором\tи годом", "本の在庫", "مخزون الكتب", "🙂 " * 100, "x" * 10_000, "a\r\nb"],
    )
    def test_description_in_any_language_is_kept(self, description):
        project_id = create(description=description)

        assert Project.objects.get(pk=project_id).description == description.replace("\r\n", "\n")

    def test_longest_name_is_kept_and_its_slug_fits(self):
        project_id = create(name="щ" * 120)

        project = Project.objects.get(pk=project_id)
        assert project.name == "щ" * 120
        assert len(project.slug) <= 40

    def test_same_name_twice_gives_two_slugs(self):
        slugs = [Project.objects.get(pk=create(name="Books")).slug for _ in range(4)]

        assert slugs[0] == "books"
        assert len(set(slugs)) == 4
        assert all(slug.startswith("books-") for slug in slugs[1:])

    def test_unknown_owner_is_refused(self):
        with pytest.raises(Invalid) as refusal:
            services.create_project(owner_id=0, name="Books", description="", modules=["backend"])

        assert "owner" in refusal.value.details


@pytest.mark.django_db(transaction=True)
def test_simultaneous_creations_of_one_name_all_succeed(run_together):
    owner_id = make_user().pk

    run_together(
        lambda: services.create_project(owner_id=owner_id, name="Same", description="", modules=["backend"]),
        6,
    )

    slugs = set(Project.objects.values_list("slug", flat=True))
    assert len(slugs) == 6
    assert "same" in slugs


class TestUpdateProject:
    def test_words_change_and_the_slug_stays(self):
        project = make_project(slug="books")

        services.update_project(project_id=project.pk, name="Library", description="New")

        project.refresh_from_db()
        assert (project.name, project.description, project.slug) == ("Library", "New", "books")

    def test_bad_words_change_nothing(self):
        project = make_project(name="Books")

        with pytest.raises(Invalid):
            services.update_project(project_id=project.pk, name="Library", description="\x00")

        assert project.reload().name == "Books"

    def test_archived_project_is_left_alone(self):
        project = make_project(status=ProjectStatus.ARCHIVED)

        with pytest.raises(services.ProjectArchived):
            services.update_project(project_id=project.pk, name="Library")


class TestArchiveProject:
    def test_archiving_twice_is_archiving_once(self):
        project = make_project()

        services.archive_project(project_id=project.pk)
        services.archive_project(project_id=project.pk)

        assert project.reload().status == ProjectStatus.ARCHIVED

    def test_project_with_an_unfinished_task_is_kept(self):
        task = make_task()

        with pytest.raises(services.ProjectBusy):
            services.archive_project(project_id=task.project_id)

        assert task.project.reload().status == ProjectStatus.ACTIVE

    def test_project_being_scaffolded_is_kept(self):
        project = make_project(status=ProjectStatus.SCAFFOLDING)

        with pytest.raises(IllegalTransition):
            services.archive_project(project_id=project.pk)


class TestRequestScaffold:
    def test_draft_is_enqueued_once(self, django_capture_on_commit_callbacks, enqueued):
        project = make_project()

        with django_capture_on_commit_callbacks(execute=True):
            services.request_scaffold(project_id=project.pk)
            services.request_scaffold(project_id=project.pk)

        project.refresh_from_db()
        assert project.status == ProjectStatus.SCAFFOLDING
        assert project.deadline_at is not None
        assert enqueued == [(tasks.reconcile_project.name, {"project_id": str(project.pk)})]

    def test_failed_project_begins_again_without_its_failure(self):
        project = make_project(status=ProjectStatus.FAILED, failure={"code": "x"}, scaffold_attempts=7)

        services.request_scaffold(project_id=project.pk)

        project.refresh_from_db()
        assert (project.status, project.failure, project.scaffold_attempts) == ("scaffolding", None, 0)

    def test_active_project_stays_as_it_is(self):
        project = make_project(status=ProjectStatus.ACTIVE)

        services.request_scaffold(project_id=project.pk)

        assert project.reload().status == ProjectStatus.ACTIVE

    def test_archived_or_unknown_project_is_refused(self):
        project = make_project(status=ProjectStatus.ARCHIVED)

        with pytest.raises(services.ProjectArchived):
            services.request_scaffold(project_id=project.pk)
        with pytest.raises(NotFound):
            services.request_scaffold(project_id=uuid4())


class TestCreateTask:
    def ask(self, project, **changes):
        fields = {"type": "engineering", "spec": "add books", "requested_by_id": project.owner_id}
        return services.create_task(project_id=project.pk, **{**fields, **changes})

    def test_task_is_pending(self):
        project = make_project()

        task_id = self.ask(project, deploy_after=True)

        task = selectors.get_task(task_id)
        assert (task.status, task.spec, task.deploy_after) == (TaskStatus.PENDING, "add books", True)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"type": "sing"}, "type"),
            ({"spec": " "}, "spec"),
            ({"spec": "x" * 20_001}, "spec"),
            ({"spec": "\x00"}, "spec"),
            ({"follows_id": uuid4()}, "follows"),
            ({"retry_of_id": uuid4()}, "retry_of"),
        ],
    )
    def test_bad_words_are_refused_with_their_field(self, changes, field):
        project = make_project()

        with pytest.raises(Invalid) as refusal:
            self.ask(project, **changes)

        assert list(refusal.value.details) == [field]

    def test_unknown_or_archived_project_is_refused(self):
        project = make_project(status=ProjectStatus.ARCHIVED)

        with pytest.raises(services.ProjectArchived):
            self.ask(project)
        project.pk = uuid4()
        with pytest.raises(selectors.ProjectNotFound):
            self.ask(project)

    def test_follower_is_created_once(self):
        first = make_task()
        fields = {"type": "deploy", "spec": "", "follows_id": first.pk}

        task_ids = {self.ask(first.project, **fields), self.ask(first.project, **fields)}

        assert len(task_ids) == 1
        assert selectors.find_follower(task_id=first.pk).type == TaskType.DEPLOY

    def test_retry_of_a_follower_is_another_task(self):
        first = make_task()
        follower = self.ask(first.project, type="deploy", spec="", follows_id=first.pk)

        again = self.ask(first.project, type="deploy", spec="", follows_id=first.pk, retry_of_id=follower)

        assert again != follower
        assert selectors.find_follower(task_id=first.pk).pk == follower


class TestTaskStatus:
    def test_of_two_starts_one_wins(self):
        task = make_task()

        services.mark_task_running(task_id=task.pk)

        with pytest.raises(IllegalTransition):
            services.mark_task_running(task_id=task.pk)
        assert task.reload().started_at is not None

    def test_first_outcome_stands(self):
        task = make_task(status=TaskStatus.RUNNING)
        failure = Failure(stage="checks", kind=FailureKind.PRODUCT, code="checks_failed", message="no")

        services.finish_task(task_id=task.pk, status=TaskStatus.FAILED, failure=failure)
        services.finish_task(task_id=task.pk, status=TaskStatus.FAILED)

        with pytest.raises(IllegalTransition):
            services.finish_task(task_id=task.pk, status=TaskStatus.SUCCEEDED)
        task.refresh_from_db()
        assert (task.status, task.failure["code"]) == (TaskStatus.FAILED, "checks_failed")

    def test_pending_task_cannot_be_finished_but_canceled(self):
        task = make_task()

        with pytest.raises(IllegalTransition):
            services.finish_task(task_id=task.pk, status=TaskStatus.CANCELED)
        services.cancel_pending_task(task_id=task.pk)

        assert task.reload().status == TaskStatus.CANCELED

    def test_running_task_is_canceled_in_two_phases(self):
        task = make_task(status=TaskStatus.RUNNING)

        with pytest.raises(IllegalTransition):
            services.cancel_pending_task(task_id=task.pk)
        services.mark_task_canceling(task_id=task.pk)
        services.finish_task(task_id=task.pk, status=TaskStatus.CANCELED)

        assert task.reload().finished_at is not None

    def test_unfinished_status_is_no_end(self):
        task = make_task(status=TaskStatus.RUNNING)

        with pytest.raises(Invalid):
            services.finish_task(task_id=task.pk, status=TaskStatus.CANCELING)

        assert task.reload().status == TaskStatus.RUNNING


class TestProposeChange:
    def test_same_key_is_one_change_and_one_message(self, django_capture_on_commit_callbacks, enqueued):
        task = make_task()

        with django_capture_on_commit_callbacks(execute=True):
            ids = {propose(task), propose(task, title="Another", head_sha=make_sha())}

        (change_id,) = ids
        assert MergeRequest.objects.get().title == "Add books"
        assert enqueued == [(tasks.reconcile_merge_request.name, {"merge_request_id": str(change_id)})]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"branch": "main"}, "branch"),
            ({"branch": "-x"}, "branch"),
            ({"branch": "a..b"}, "branch"),
            ({"branch": "x" * 121}, "branch"),
            ({"base_sha": "HEAD"}, "base_sha"),
            ({"head_sha": "--all"}, "head_sha"),
            ({"bundle_name": "../../etc/passwd"}, "name"),
            ({"task_id": uuid4()}, "task"),
        ],
    )
    def test_bad_words_are_refused_with_their_field(self, changes, field):
        task = make_task()

        with pytest.raises(Invalid) as refusal:
            propose(task, **changes)

        assert list(refusal.value.details) == [field]
        assert not MergeRequest.objects.exists()

    def test_title_becomes_one_bounded_line(self):
        change_id = propose(make_task(), title="Add\nbooks\x00 " + "x" * 500)

        title = MergeRequest.objects.get(pk=change_id).title
        assert title.startswith("Add books x")
        assert len(title) == 200

    def test_merge_is_asked_for_once(self, django_capture_on_commit_callbacks, enqueued):
        change = make_merge_request(status=MergeRequestStatus.OPEN)

        with django_capture_on_commit_callbacks(execute=True):
            services.request_merge(merge_request_id=change.pk)
            services.request_merge(merge_request_id=change.pk)

        assert change.reload().status == MergeRequestStatus.MERGING
        assert len(enqueued) == 1

    @pytest.mark.parametrize("status", ["pending", "refused", "crashed", "canceled"])
    def test_merge_of_a_change_that_is_not_open_is_refused(self, status):
        change = make_merge_request(status=status)

        with pytest.raises(IllegalTransition):
            services.request_merge(merge_request_id=change.pk)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("pending", "canceled"),
            ("open", "canceled"),
            ("merging", "merging"),
            ("merged", "merged"),
            ("canceled", "canceled"),
        ],
    )
    def test_change_is_withdrawn_unless_it_is_being_merged(self, status, expected):
        change = make_merge_request(status=status)

        services.withdraw_change(merge_request_id=change.pk)

        assert change.reload().status == expected


class TestSecrets:
    def test_value_is_kept_encrypted_and_replaced(self):
        project = make_project()

        services.set_secret(project_id=project.pk, key="API_KEY", value="first-value")
        services.set_secret(project_id=project.pk, key="API_KEY", value="second-value")

        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM projects_projectsecret")
            stored = cursor.fetchall()
        assert selectors.known_secrets(project_id=project.pk)["API_KEY"].value == "second-value"
        assert len(stored) == 1
        assert "value" not in stored[0][0]

    @pytest.mark.parametrize(
        ("key", "value", "field"),
        [
            ("", "x", "key"),
            ("lower", "x", "key"),
            ("1ST", "x", "key"),
            ("A-B", "x", "key"),
            ("A" * 101, "x", "key"),
            ("PORT", "x", "key"),
            ("LD_PRELOAD", "x", "key"),
            ("GITHUB_TOKEN", "x", "key"),
            ("DEPLOY_SSH_KEY", "x", "key"),
            ("API_KEY", "", "value"),
            ("API_KEY", "hunter2\0", "value"),
            ("API_KEY", "hunter2\ud800", "value"),
            ("API_KEY", "hunter2" * 10_000, "value"),
        ],
    )
    def test_bad_secret_is_refused_without_showing_it(self, key, value, field):
        project = make_project()

        with pytest.raises(Invalid) as refusal:
            services.set_secret(project_id=project.pk, key=key, value=value)

        assert list(refusal.value.details) == [field]
        assert "hunter2" not in f"{refusal.value} {refusal.value.details}"

    def test_number_of_secrets_is_bounded(self):
        project = make_project()
        ProjectSecret.objects.bulk_create(
            ProjectSecret(project=project, key=f"KEY_{number}", value="x") for number in range(95)
        )

        with pytest.raises(Invalid):
            services.set_secret(project_id=project.pk, key="ONE_MORE", value="x")
        services.set_secret(project_id=project.pk, key="KEY_1", value="changed")

        assert selectors.known_secrets(project_id=project.pk)["KEY_1"].value == "changed"

    def test_deleting_twice_is_deleting_once(self):
        secret = make_secret()

        services.delete_secret(project_id=secret.project_id, key="API_KEY")
        services.delete_secret(project_id=secret.project_id, key="API_KEY")

        assert selectors.list_secret_keys(project_id=secret.project_id) == []

    def test_values_are_in_no_log(self, caplog):
        caplog.set_level("DEBUG")

        services.set_secret(project_id=make_project().pk, key="API_KEY", value="hunter2-hunter2")

        assert "hunter2" not in caplog.text


def test_errors_say_whose_move_it_is():
    assert issubclass(services.ProjectBusy, Conflict)
    assert issubclass(selectors.ProjectNotFound, NotFound)
    assert Task.final_statuses() == {"succeeded", "failed", "crashed", "canceled"}
