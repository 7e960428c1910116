"""Starting, stopping and watching work over REST."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.graph.models import Question, Run
from apps.projects.models import Project, ProjectSecret, ProjectStatus, Task
from apps.workers import attachments
from apps.workers.credentials import credentials_of
from apps.workers.models import Worker
from tests.factories import make_project, make_run, make_task, make_user, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def owner() -> Any:
    return make_user()


@pytest.fixture
def project(owner: Any) -> Project:
    return make_project(owner=owner, status=ProjectStatus.ACTIVE)


@pytest.fixture
def api(owner: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


def test_second_start_answers_with_the_one_run(api, project):
    task = make_task(project=project)

    first = api.post(f"/api/tasks/{task.pk}/start/")
    second = api.post(f"/api/tasks/{task.pk}/start/")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert Run.objects.count() == 1


@pytest.mark.parametrize("status", ["succeeded", "failed", "crashed", "canceled"])
def test_task_that_has_ended_is_not_started_or_canceled(api, project, status):
    task = make_task(project=project, status=status)

    started = api.post(f"/api/tasks/{task.pk}/start/")

    assert (started.status_code, started.json()["error"]) == (409, "illegal_transition")


def test_task_that_never_ran_is_canceled_at_once(api, project):
    task = make_task(project=project)

    answer = api.post(f"/api/tasks/{task.pk}/cancel/")

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


def test_retry_of_a_lost_answer_is_one_retry(api, project):
    task = make_task(project=project, status="failed")
    first = api.post(f"/api/tasks/{task.pk}/retry/", HTTP_IDEMPOTENCY_KEY="k")
    # The retry has already ended when its lost answer is asked for again.
    Task.objects.filter(pk=first.json()["id"]).update(status="failed")

    again = api.post(f"/api/tasks/{task.pk}/retry/", HTTP_IDEMPOTENCY_KEY="k")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert Task.objects.count() == 2


def test_task_that_did_not_fail_is_not_retried(api, project):
    answer = api.post(f"/api/tasks/{make_task(project=project).pk}/retry/")

    assert (answer.status_code, answer.json()["error"]) == (409, "not_retryable")


def test_task_of_an_archived_project_is_not_retried(api, owner):
    task = make_task(project=make_project(owner=owner, status=ProjectStatus.ARCHIVED), status="failed")

    answer = api.post(f"/api/tasks/{task.pk}/retry/")

    assert (answer.status_code, answer.json()["error"]) == (409, "project_archived")
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    ("allowed", "kind", "code"),
    [
        (["engineering.start"], "engineering", 202),
        (["engineering.start"], "deploy", 403),
        (["deploy.*"], "engineering", 403),
        (["*"], "deploy", 202),
    ],
)
def test_worker_starts_only_what_it_is_allowed_to(owner, project, allowed, kind, code):
    worker = make_worker(owner_id=owner.pk, allowed_commands=allowed)
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    task = make_task(project=project, type=kind)

    answer = client.post(f"/api/tasks/{task.pk}/start/")

    assert answer.status_code == code


@pytest.mark.parametrize(("language", "status"), [("en", "pending"), ("ru", "running"), ("xx", "failed")])
def test_card_is_drawn_at_every_stage_in_any_language(api, project, language, status):
    task = make_task(project=project, status=status)

    answer = api.get(f"/api/tasks/{task.pk}/card/", HTTP_ACCEPT_LANGUAGE=language)

    assert answer.status_code == 200
    assert answer.json()["task_id"] == str(task.pk)


class TestQuestions:
    @pytest.fixture
    def question(self, project):
        def make(**fields: Any) -> Question:
            run = make_run(task=make_task(project=project, status="running"))
            deadline = timezone.now() + timedelta(hours=1)
            return Question.objects.create(
                idempotency_key=f"q-{run.pk}", run=run, text="Which?", deadline_at=deadline, **fields
            )

        return make

    def test_answer_is_kept_once(self, api, question):
        row = question()

        first = api.post(f"/api/questions/{row.pk}/answer/", {"text": "yes"}, format="json")
        second = api.post(f"/api/questions/{row.pk}/answer/", {"text": "no"}, format="json")

        assert (first.status_code, first.json()["answer"]) == (200, "yes")
        assert (second.status_code, second.json()["error"]) == (409, "question_closed")

    def test_secret_goes_into_the_projects_secrets_and_into_no_answer(self, api, question, project):
        row = question(secret_key="API_KEY")

        answer = api.post(f"/api/questions/{row.pk}/answer/", {"text": "open-sesame"}, format="json")

        assert answer.status_code == 200
        assert "sesame" not in answer.content.decode()
        assert ProjectSecret.objects.get(project=project).value == "open-sesame"

    @pytest.mark.parametrize(
        "body", [{}, {"text": ""}, {"text": "x" * 10_001}, {"text": "\x00"}, {"text": "c"}]
    )
    def test_bad_answers_are_refused_by_field(self, api, question, body):
        row = question(options=["a", "b"])

        answer = api.post(f"/api/questions/{row.pk}/answer/", body, format="json")

        assert (answer.status_code, list(answer.json()["details"])) == (400, ["text"])


class TestAttachments:
    @pytest.fixture(autouse=True)
    def root(self, settings: Any, tmp_path: Path) -> None:
        settings.MEDIA_ROOT = tmp_path / "storage"

    def attach(self, api: APIClient, task: Task, attachment_id: UUID) -> Any:
        body = {"attachment_id": str(attachment_id)}
        return api.post(f"/api/tasks/{task.pk}/attachments/", body, format="json")

    def give(self, owner: Any, tmp_path: Path) -> UUID:
        (tmp_path / "logo").write_bytes(b"logo")
        return attachments.keep(tmp_path / "logo", owner_id=owner.pk, file_name="logo.png")

    def test_file_goes_with_a_task_and_with_its_retry(self, api, owner, project, tmp_path):
        task = make_task(project=project)
        given = self.give(owner, tmp_path)

        answers = [self.attach(api, task, given) for _ in range(2)]
        Task.objects.filter(pk=task.pk).update(status="failed")
        retry = api.post(f"/api/tasks/{task.pk}/retry/").json()["id"]

        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        for task_id in (task.pk, UUID(retry)):
            assert [row.file_name for row in attachments.list_of_task(task_id)] == ["logo.png"]

    def test_started_task_gets_no_more_files(self, api, owner, project, tmp_path):
        answer = self.attach(api, make_task(project=project, status="running"), self.give(owner, tmp_path))

        assert (answer.status_code, answer.json()["error"]) == (409, "already_started")

    def test_file_of_somebody_else_is_not_found(self, api, project, tmp_path):
        answer = self.attach(api, make_task(project=project), self.give(make_user(), tmp_path))

        assert (answer.status_code, answer.json()["error"]) == (404, "attachment_not_found")
