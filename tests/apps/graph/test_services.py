"""Starting, canceling, retrying, answering."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.db import connection
from django.utils import timezone

from apps.errors import Invalid, NotFound
from apps.graph import services
from apps.graph.models import Question, Run, RunStatus
from apps.lifecycle import IllegalTransition
from apps.projects import services as projects
from apps.projects.models import Task, TaskEvent, TaskStatus
from apps.projects.services import ProjectArchived
from tests.factories import make_run, make_task

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("broker")]


@pytest.fixture
def published(broker: Any) -> Any:
    names: list[tuple[str, Any]] = []

    def note(sender: str, body: Any, **_: Any) -> None:
        names.append((sender, body[1]))

    before_task_publish.connect(note, weak=False, dispatch_uid="graph-published")
    yield names
    before_task_publish.disconnect(dispatch_uid="graph-published")


def make_question(**fields: Any) -> Question:
    task = make_task(status=TaskStatus.RUNNING)
    defaults = {
        "idempotency_key": f"q-{task.pk}",
        "run": make_run(task=task, status=RunStatus.WAITING),
        "text": "Which one?",
        "deadline_at": timezone.now() + timedelta(minutes=5),
    }
    return Question.objects.create(**{**defaults, **fields})


@pytest.mark.django_db
def test_start_acknowledges_and_enqueues_once(
    published: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    task = make_task()

    with django_capture_on_commit_callbacks(execute=True):
        first = services.start_task(task_id=task.pk)
    with django_capture_on_commit_callbacks(execute=True):
        second = services.start_task(task_id=task.pk)

    assert first == second
    assert task.reload().status == TaskStatus.RUNNING
    assert [event.kind for event in TaskEvent.objects.filter(task=task)] == ["acknowledged"]
    assert published.count(("graph.advance_run", {"run_id": str(first)})) == 1


@pytest.mark.django_db(transaction=True)
def test_two_simultaneous_starts_give_one_run() -> None:
    task = make_task()
    barrier, answers = threading.Barrier(6), []

    def start() -> None:
        connection.ensure_connection()
        barrier.wait(20)
        answers.append(services.start_task(task_id=task.pk))
        connection.close()

    starters = [threading.Thread(target=start) for _ in range(6)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(30)

    assert len(answers) == 6
    assert set(answers) == {Run.objects.get().pk}


@pytest.mark.django_db
def test_an_ended_task_cannot_be_started() -> None:
    task = make_task(status=TaskStatus.FAILED)

    with pytest.raises(IllegalTransition):
        services.start_task(task_id=task.pk)

    assert not Run.objects.exists()


@pytest.mark.django_db
def test_an_unknown_task_cannot_be_started() -> None:
    task = make_task()
    Task.objects.all().delete()

    with pytest.raises(NotFound):
        services.start_task(task_id=task.pk)

    assert not Run.objects.exists()


@pytest.mark.django_db
def test_a_task_nobody_started_is_canceled_at_once() -> None:
    task = make_task()

    services.cancel_task(task_id=task.pk)
    services.cancel_task(task_id=task.pk)

    assert task.reload().status == TaskStatus.CANCELED
    assert [event.kind for event in TaskEvent.objects.filter(task=task)] == ["canceled"]


@pytest.mark.django_db
def test_canceling_a_running_task_twice_asks_once() -> None:
    task = make_task()
    services.start_task(task_id=task.pk)

    services.cancel_task(task_id=task.pk)
    services.cancel_task(task_id=task.pk)

    assert Run.objects.get().status == RunStatus.CANCELING
    assert task.reload().status == TaskStatus.CANCELING
    assert TaskEvent.objects.filter(task=task, kind="cancel_requested").count() == 1


@pytest.mark.django_db
def test_an_ended_task_cannot_be_canceled() -> None:
    task = make_task(status=TaskStatus.SUCCEEDED)

    with pytest.raises(IllegalTransition):
        services.cancel_task(task_id=task.pk)

    assert task.reload().status == TaskStatus.SUCCEEDED


@pytest.mark.django_db
def test_retry_is_a_new_task_that_runs() -> None:
    task = make_task(status=TaskStatus.FAILED, spec="a url shortener")

    retry = Task.objects.get(pk=services.retry_task(task_id=task.pk, requested_by_id=task.requested_by_id))

    assert (retry.retry_of, retry.spec, retry.status) == (task, "a url shortener", TaskStatus.RUNNING)
    assert services.retry_task(task_id=task.pk, requested_by_id=task.requested_by_id) == retry.pk
    assert task.reload().status == TaskStatus.FAILED


@pytest.mark.django_db
def test_retry_in_an_archived_project_is_refused_before_any_effect(
    django_capture_on_commit_callbacks: Any,
) -> None:
    task = make_task(status=TaskStatus.FAILED)
    projects.archive_project(project_id=task.project_id)

    with django_capture_on_commit_callbacks() as effects, pytest.raises(ProjectArchived) as refused:
        services.retry_task(task_id=task.pk, requested_by_id=task.requested_by_id)

    assert (refused.value.error_code, refused.value.message) == (
        "project_archived",
        "The project is archived.",
    )
    assert (Task.objects.count(), Run.objects.count(), TaskEvent.objects.count()) == (1, 0, 0)
    assert effects == []


@pytest.mark.django_db
@pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.SUCCEEDED])
def test_only_what_did_not_succeed_is_retried(status: str) -> None:
    task = make_task(status=status)

    with pytest.raises(services.NotRetryable):
        services.retry_task(task_id=task.pk, requested_by_id=None)

    assert Task.objects.count() == 1


@pytest.mark.django_db
def test_an_answer_is_taken_once() -> None:
    question = make_question()

    services.answer_question(question_id=question.pk, text="the red one")

    with pytest.raises(services.AlreadyAnswered):
        services.answer_question(question_id=question.pk, text="the blue one")
    assert question.reload().answer == "the red one"


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "  ", "x" * 10_001, "neither"])
def test_an_unusable_answer_is_refused(text: str) -> None:
    question = make_question(options=["yes", "no"])

    with pytest.raises(Invalid):
        services.answer_question(question_id=question.pk, text=text)

    assert question.reload().status == "open"


@pytest.mark.django_db
def test_a_secret_answer_is_stored_as_the_projects_secret_only() -> None:
    question = make_question(secret_key="API_KEY")

    services.answer_question(question_id=question.pk, text="s3cret")

    assert question.reload().answer == ""
    assert question.run.task.project.secrets.get().value == "s3cret"
    assert "s3cret" not in str(list(TaskEvent.objects.values_list("data", flat=True)))
