"""What workers tell their people is kept once, announced, and can be read by whoever passes it on."""

from typing import Any

import pytest

from apps.workers import messages
from apps.workers.credentials import credentials_of
from apps.workers.models import TurnStatus, Worker
from apps.workers.signals import worker_spoke
from tests.factories import make_turn, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def worker() -> Worker:
    return make_worker(worker_type="po")


@pytest.fixture
def announced() -> Any:
    heard: list[int] = []

    def hear(message_id: int, **_: Any) -> None:
        heard.append(message_id)

    worker_spoke.connect(hear, weak=False, dispatch_uid="messages-heard")
    yield heard
    worker_spoke.disconnect(dispatch_uid="messages-heard")


def test_words_are_announced_once_committed(
    worker: Worker, announced: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as waiting:
        message_id = messages.record(worker=worker, text="done")
    before = list(announced)
    for callback in waiting:
        callback()

    assert (before, announced) == ([], [message_id])


def test_repeated_key_is_the_same_message(worker: Worker) -> None:
    first = messages.record(worker=worker, text="done", key="k")

    again = messages.record(worker=worker, text="done", key="k")
    of_another = messages.record(worker=make_worker(), text="done", key="k")

    assert first == again
    assert of_another != first


def test_message_is_read_with_its_person_and_its_turn(worker: Worker) -> None:
    before = messages.record(worker=worker, text="hello")
    turn = make_turn(worker=worker, status=TurnStatus.RUNNING)
    during = messages.record(worker=worker, text="I begin")
    messages.record(worker=make_worker(worker_type="po"), text="to somebody else")

    found = messages.list_messages(owner_id=worker.owner_id)

    assert [(message.id, message.turn_id, message.text) for message in found] == [
        (before, None, "hello"),
        (during, turn.pk, "I begin"),
    ]
    assert [message.id for message in messages.list_messages(turn_id=turn.pk)] == [during]
    assert next(message.id for message in messages.list_messages(after_id=before)) == during
    assert messages.find_message(during) == found[1]
    assert messages.find_message(0) is None


def test_own_secrets_are_taken_out_of_what_is_said(worker: Worker) -> None:
    token = credentials_of(worker.pk).token

    message_id = messages.record(worker=worker, text=f"my token is {token}, keep it")

    found = messages.find_message(message_id)
    assert found is not None
    assert found.text == "my token is ***, keep it"
