"""An update is handled once, with everything that it causes, or not at all."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.bot import handlers, routing
from apps.bot.models import Chat, ChatMessage, ChatStatus, Delivery, DeliveryKind, ProcessedUpdate, Trouble
from tests.apps.bot.updates import Phone, somebody

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_update_is_handled_once_however_often_it_comes():
    phone, _ = somebody()
    update = phone.message("an inventory of books")

    handlers.handle(update)
    handlers.handle(update)

    assert ChatMessage.objects.get().text == "an inventory of books"
    assert Delivery.objects.count() == 1
    assert ProcessedUpdate.objects.get().finished_at is not None


def test_what_was_written_is_in_no_row_of_the_update():
    phone, _ = somebody()

    phone.writes("a private wish")

    assert "private" not in str(ProcessedUpdate.objects.values().get())


@pytest.mark.parametrize("content", [{}, {"poll": {"id": "1"}}, {"message": "text"}, {"message": {}}])
def test_update_that_is_nobodys_business_is_passed_over(content: dict[str, Any]):
    handlers.handle({"update_id": 1, **content})

    assert ProcessedUpdate.objects.get().finished_at is not None
    assert not Delivery.objects.exists()


def test_update_that_fails_is_given_up_after_three_times_and_told(monkeypatch: pytest.MonkeyPatch):
    phone, _ = somebody()
    operator, _ = somebody("operator")
    tries = []

    def fail(talk: Any) -> None:
        tries.append(talk.incoming.update_id)
        talk.say("half done", part="half")
        raise KeyError("a private word")

    monkeypatch.setattr(routing, "route", fail)
    phone.writes("hello")

    row = ProcessedUpdate.objects.get()
    assert len(tries) == row.attempts == handlers.MAX_ATTEMPTS
    assert row.failure["type"] == "KeyError"
    assert "private" not in str(row.failure) + Trouble.objects.get().message
    assert [text for text in phone.texts() if "half" in text] == []
    assert "not handled" in phone.last()
    assert "KeyError" in operator.last()


def test_update_waits_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch):
    phone, _ = somebody()

    def fail(_talk: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(routing, "route", fail)
    with pytest.raises(OperationalError):
        handlers.handle(phone.message("hello"))

    assert not ProcessedUpdate.objects.exists()


def test_refusal_undoes_what_was_begun_and_is_told():
    phone, _ = somebody("viewer")

    phone.writes("build me something")

    assert not ChatMessage.objects.exists()
    assert "not allowed" in phone.last()


def test_group_is_told_that_the_bot_talks_to_people_alone():
    phone, _ = somebody()
    update = phone.message("/start")
    update["message"]["chat"] = {"id": -100, "type": "group"}

    handlers.handle(update)
    update["update_id"] += 1_000
    handlers.handle(update)

    assert Delivery.objects.filter(chat__telegram_id=-100).count() == 1


def test_person_who_blocks_the_bot_is_not_written_to_until_they_write():
    phone, _ = somebody()
    change = {"from": phone.who, "chat": {"id": phone.id, "type": "private"}}

    handlers.handle({"update_id": 1, "my_chat_member": {**change, "new_chat_member": {"status": "kicked"}}})
    blocked = phone.chat.status
    phone.writes("/help")

    assert (blocked, phone.chat.status) == (ChatStatus.BLOCKED, ChatStatus.ACTIVE)


def test_names_with_markup_and_turned_writing_are_taken_as_they_are():
    phone = Phone(first_name="<b>\u202eשלום</b> 👩‍👩‍👧", last_name="\ud83d\0", username="x")

    phone.writes("hello")

    assert "<b>" in Chat.objects.get().name
    assert Delivery.objects.get().kind == DeliveryKind.TEXT


@pytest.mark.django_db(transaction=True)
def test_update_that_comes_twice_at_the_same_moment_acts_once():
    phone, _ = somebody()
    update = phone.message("an inventory of books")
    together = threading.Barrier(3)

    def handle() -> None:
        try:
            together.wait(timeout=10)
            handlers.handle(update)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=3) as threads:
        ended = [threads.submit(handle) for _ in range(3)]

    assert [one.exception() for one in ended] == [None, None, None]
    assert ChatMessage.objects.count() == 1
    assert ProcessedUpdate.objects.get().attempts == 0
