"""Pages of workers, agent configurations and dead letters: what their buttons and forms do."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from apps.workers.models import (
    AgentConfig,
    DeadLetter,
    DeadLetterStatus,
    Turn,
    Worker,
    WorkerEvent,
    WorkerStatus,
)
from tests.admin_rows import Story, list_of, make_dead_letter, operator, page_of
from tests.factories import make_turn, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]

CONFIRMED = {"_form_submitted": "True"}


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_worker_shows_heartbeat_log_turns_and_snapshots(client: Client) -> None:
    story = Story()

    text = client.get(page_of(story.worker)).content.decode()

    assert "line one\nline two" in text
    assert "children" in text
    assert page_of(story.turn) in text
    assert "12.1" in text  # KB of the snapshot


def test_stop_asks_a_worker_to_end(client: Client) -> None:
    worker = make_worker(status=WorkerStatus.RUNNING)

    response = client.post(page_of(worker, "stop"), CONFIRMED)

    worker.refresh_from_db()
    assert worker.status == WorkerStatus.CANCELING
    assert said(response) == ["The worker is being stopped."]


def test_ticked_workers_are_stopped(client: Client) -> None:
    workers = [make_worker(status=WorkerStatus.RUNNING) for _ in range(2)]
    form = {"action": "stop_selected", "_selected_action": [str(worker.pk) for worker in workers]}

    client.post(list_of(Worker), form)

    assert Worker.objects.filter(status=WorkerStatus.CANCELING).count() == 2


@pytest.mark.parametrize(
    ("status", "is_offered"),
    [(WorkerStatus.PENDING, True), (WorkerStatus.RUNNING, True), (WorkerStatus.CRASHED, False)],
)
def test_stop_is_offered_while_there_is_something_to_stop(
    client: Client, status: str, is_offered: bool
) -> None:
    worker = make_worker(status=status)

    text = client.get(page_of(worker)).content.decode()

    assert (page_of(worker, "stop") in text) is is_offered


def test_discarded_letter_stays_readable(client: Client) -> None:
    letter = make_dead_letter()

    client.post(page_of(letter, "discard"), CONFIRMED)

    letter.refresh_from_db()
    assert letter.status == DeadLetterStatus.DISCARDED
    assert "1700000000000-0" in client.get(page_of(letter)).content.decode()


def test_letter_that_is_still_unreadable_is_refused_in_words_and_stays(client: Client) -> None:
    letter = make_dead_letter(worker_id=make_worker().pk)

    response = client.post(page_of(letter, "replay"), CONFIRMED)

    letter.refresh_from_db()
    assert "still_unreadable" in said(response)[0]
    assert letter.status == DeadLetterStatus.PENDING


def test_letter_without_a_payload_in_json_is_shown_and_refused_in_words(client: Client) -> None:
    letter = make_dead_letter(worker_id=uuid4(), payload=json.dumps({"data": "not json"}))

    shown = client.get(page_of(letter))
    response = client.post(page_of(letter, "replay"), CONFIRMED)

    assert shown.status_code == 200
    assert said(response)


def test_ticked_letters_are_discarded_once(client: Client) -> None:
    letters = [make_dead_letter() for _ in range(2)]
    form = {"action": "discard_selected", "_selected_action": [str(letter.pk) for letter in letters]}

    client.post(list_of(DeadLetter), form)
    again = client.post(list_of(DeadLetter), form)

    assert DeadLetter.objects.filter(status=DeadLetterStatus.DISCARDED).count() == 2
    assert len([line for line in said(again) if "illegal_transition" in line]) == 2


def test_agent_config_is_added_and_edited(client: Client) -> None:
    values = {"name": "careful", "agent_type": "claude", "model": "", "system_prompt": "Be careful."}

    added = client.post(f"{list_of(AgentConfig)}add/", {**values, "is_active": "on"})
    config = AgentConfig.objects.get(name="careful")
    client.post(page_of(config), {**values, "model": "opus"})

    config.refresh_from_db()
    assert added.status_code == 302
    assert (config.model, config.is_active) == ("opus", False)


def test_agent_config_of_a_taken_name_is_refused_beside_its_field(client: Client) -> None:
    AgentConfig.objects.create(name="careful", agent_type="claude")

    response = client.post(f"{list_of(AgentConfig)}add/", {"name": "careful", "agent_type": "claude"})

    assert response.status_code == 200
    assert "name" in response.context["adminform"].form.errors


def test_worker_and_turn_show_what_was_said(client: Client) -> None:
    worker = make_worker(status=WorkerStatus.RUNNING)
    turn = make_turn(worker=worker, prompt="Please add books", status="succeeded", summary="Books were added")
    Turn.objects.filter(pk=turn.pk).update(sent_at=turn.created_at, finished_at=timezone.now())
    body = {"message": "Reading <b>the</b> task", "current_step": "read"}
    WorkerEvent.objects.create(worker=worker, boot="b", seq=1, kind="progress", body=body, turn_id=turn.pk)

    pages = [client.get(page_of(row)) for row in (worker, turn)]

    for page in pages:
        said = next(one for one in page.context["sections"] if str(one.title) == "Transcript")
        assert strip_tags(str(said.rows[0][2])) == "Please add books"
        assert "Reading &lt;b&gt;the&lt;/b&gt; task" in page.content.decode()
        assert "Books were added" in page.content.decode()
