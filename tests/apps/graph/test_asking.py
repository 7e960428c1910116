"""A Product Owner asks its person: over REST, once, and only a person answers."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.test import APIClient

from apps.graph import asking, services
from apps.graph.models import Question, QuestionStatus
from apps.graph.signals import question_changed
from apps.graph.tasks import expire_question
from apps.projects.models import User
from apps.workers.credentials import credentials_of
from apps.workers.models import Turn, TurnStatus, Worker
from tests.factories import make_run, make_turn, make_user, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]

LANGUAGES = {"text": "Which language?", "options": ["English", "русский"]}


@pytest.fixture
def owner() -> User:
    return make_user()


@pytest.fixture
def po(owner: User) -> Worker:
    return make_worker(worker_type="po", owner_id=owner.pk, allowed_commands=["*"])


@pytest.fixture
def changed() -> Any:
    heard: list[Any] = []

    def hear(question_id: Any, **_: Any) -> None:
        heard.append(question_id)

    question_changed.connect(hear, weak=False, dispatch_uid="questions-heard")
    yield heard
    question_changed.disconnect(dispatch_uid="questions-heard")


def client_of(worker: Worker) -> APIClient:
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    return client


def person(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def ask(worker: Worker, **body: Any) -> Any:
    return client_of(worker).post("/api/worker/questions", {**LANGUAGES, **body}, format="json")


def test_question_reaches_its_person_and_nobody_else(
    po: Worker, owner: User, changed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = ask(po)

    (listed,) = person(owner).get("/api/questions/").json()["results"]
    assert answer.status_code == 201
    assert listed == answer.json()
    assert (listed["run_id"], listed["worker_id"]) == (None, str(po.pk))
    assert person(make_user()).get("/api/questions/").json()["results"] == []
    assert [str(pk) for pk in changed] == [listed["id"]]


def test_answer_is_announced_and_kept(
    po: Worker, owner: User, changed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    question_id = ask(po).json()["id"]

    with django_capture_on_commit_callbacks(execute=True):
        answer = person(owner).post(
            f"/api/questions/{question_id}/answer/", {"text": "English"}, format="json"
        )
    again = person(owner).post(f"/api/questions/{question_id}/answer/", {"text": "English"}, format="json")

    assert (answer.status_code, answer.json()["status"]) == (200, "answered")
    assert answer.json()["answer"] == "English"
    assert [str(pk) for pk in changed] == [question_id]
    assert (again.status_code, again.json()["error"]) == (409, "question_closed")


def test_answer_beside_the_options_is_refused(po: Worker, owner: User) -> None:
    question_id = ask(po).json()["id"]

    answer = person(owner).post(f"/api/questions/{question_id}/answer/", {"text": "Latin"}, format="json")

    assert answer.status_code == 400
    assert Question.objects.get(pk=question_id).status == QuestionStatus.OPEN


def test_worker_does_not_answer_in_its_persons_place(po: Worker) -> None:
    question_id = ask(po).json()["id"]

    answer = client_of(po).post(f"/api/questions/{question_id}/answer/", {"text": "English"}, format="json")

    assert (answer.status_code, answer.json()["error"]) == (403, "permission_denied")


def test_worker_does_not_answer_with_a_secret(po: Worker) -> None:
    run = make_run()
    User.objects.filter(pk=po.owner_id).update(username="owner of both")
    Worker.objects.filter(pk=po.pk).update(owner_id=run.task.project.owner_id)
    question = Question.objects.create(
        idempotency_key="q", run=run, text="?", secret_key="API_KEY", deadline_at=timezone.now()
    )

    answer = client_of(po).post(f"/api/questions/{question.pk}/answer/", {"text": "s"}, format="json")

    assert (answer.status_code, answer.json()["error"]) == (403, "permission_denied")


def test_same_words_in_one_turn_are_one_question(po: Worker) -> None:
    turn = make_turn(worker=po, status=TurnStatus.RUNNING)
    first = ask(po).json()["id"]

    repeated = ask(po).json()["id"]
    other = ask(po, text="Which colour?").json()["id"]
    Turn.objects.filter(pk=turn.pk).update(status=TurnStatus.SUCCEEDED)
    make_turn(worker=po, status=TurnStatus.RUNNING, number=2)
    later = ask(po).json()["id"]

    assert repeated == first
    assert len({first, other, later}) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"text": ""},
        {"text": "x" * 2_001},
        {"options": [""]},
        {"options": ["a", "a"]},
        {"options": ["x" * 101]},
        {"options": [str(number) for number in range(9)]},
        {"secret_key": "API_KEY"},
    ],
)
def test_bad_question_is_refused(po: Worker, body: dict[str, Any]) -> None:
    assert ask(po, **body).status_code == 400


def test_developer_has_nobody_to_ask() -> None:
    answer = ask(make_worker(allowed_commands=["respond"]))

    assert (answer.status_code, answer.json()["error"]) == (400, "nobody_to_ask")


@pytest.mark.parametrize("allowed", [[], ["task.answer"]])
def test_asking_needs_the_permission_to_respond(allowed: list[str]) -> None:
    answer = ask(make_worker(worker_type="po", allowed_commands=allowed))

    assert answer.status_code == 403


def test_person_cannot_ask_itself(owner: User) -> None:
    assert person(owner).post("/api/worker/questions", LANGUAGES, format="json").status_code == 400


def test_number_of_open_questions_is_bounded(po: Worker) -> None:
    for number in range(asking.MAX_OPEN):
        ask(po, text=f"Question {number}?")

    answer = ask(po)

    assert (answer.status_code, answer.json()["error"]) == (409, "too_many_questions")


def test_question_that_nobody_answered_expires(po: Worker, owner: User) -> None:
    asked = asking.ask_person(worker_id=po.pk, text="Still there?")
    early = asking.find_overdue()
    Question.objects.filter(pk=asked).update(deadline_at=timezone.now() - timedelta(seconds=1))

    overdue = asking.find_overdue()
    expire_question(question_id=str(asked))

    assert (early, overdue) == ([], [asked])
    assert Question.objects.get(pk=asked).status == QuestionStatus.EXPIRED
    with pytest.raises(services.AlreadyAnswered):
        services.answer_question(question_id=asked, text="yes")


def test_withdrawal_closes_what_was_asked_of_one_person(po: Worker, owner: User) -> None:
    asking.ask_person(worker_id=po.pk, text="Still there?")
    other = make_worker(worker_type="po")
    elsewhere = asking.ask_person(worker_id=other.pk, text="Still there?")

    count = asking.withdraw_questions(owner_id=owner.pk)

    assert count == 1
    assert Question.objects.get(status=QuestionStatus.OPEN).pk == elsewhere


def test_question_belongs_to_a_run_or_to_a_worker() -> None:
    with pytest.raises(IntegrityError):
        Question.objects.create(
            idempotency_key="q", run=make_run(), worker_id=uuid4(), text="?", deadline_at=timezone.now()
        )
