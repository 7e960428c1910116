"""Facts of the apps below wake whoever has to tell them; the sweep finds what was missed."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.bot import chat_tasks, receivers, tidying
from apps.bot.models import Callback, ChatMessage, Conversation, Dialog, ProcessedUpdate
from apps.graph.signals import question_changed
from apps.projects.models import TaskStatus
from apps.projects.signals import task_changed
from apps.workers import messages
from apps.workers.signals import turn_changed, worker_spoke
from tests.apps.bot.updates import somebody
from tests.factories import make_project, make_task, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]

Sent = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Sent:
    """What is enqueued, while there is a bot."""
    settings.TELEGRAM_BOT_TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    found: Sent = []

    def note(task: Any, **ids: Any) -> None:
        found.append((task.name, ids))

    monkeypatch.setattr(receivers, "enqueue", note)
    monkeypatch.setattr(chat_tasks, "enqueue", note)
    return found


def test_task_is_drawn_for_those_who_have_a_chat(sent: Sent):
    _phone, user = somebody()
    followed = make_task(project=make_project(owner=user))
    unfollowed = make_task()

    task_changed.send_robust(sender=None, task_id=followed.pk)
    task_changed.send_robust(sender=None, task_id=unfollowed.pk)

    assert sent == [("bot.draw_card", {"task_id": str(followed.pk)})]


def test_turn_words_and_question_wake_the_conversation(sent: Sent):
    _phone, user = somebody()
    turn_id, question_id = uuid4(), uuid4()
    Conversation.objects.create(user=user, turn_id=turn_id)
    message_id = messages.record(worker=make_worker(owner_id=user.pk), text="hello")

    turn_changed.send_robust(sender=None, turn_id=turn_id)
    turn_changed.send_robust(sender=None, turn_id=uuid4())
    worker_spoke.send_robust(sender=None, message_id=message_id)
    question_changed.send_robust(sender=None, question_id=question_id)

    assert sent == [
        ("bot.converse", {"user_id": user.pk}),
        ("bot.converse", {"user_id": user.pk}),
        ("bot.show_question", {"question_id": str(question_id)}),
    ]


def test_a_bot_whose_token_another_process_holds_is_told(sent: Sent, settings: Any):
    settings.TELEGRAM_BOT_TOKEN = ""
    settings.SECRETS_ELSEWHERE = ["TELEGRAM_BOT_TOKEN"]
    question_id = uuid4()

    question_changed.send_robust(sender=None, question_id=question_id)

    assert sent == [("bot.show_question", {"question_id": str(question_id)})]


def test_without_a_bot_nothing_is_told(sent: Sent, settings: Any):
    settings.TELEGRAM_BOT_TOKEN = ""
    _phone, user = somebody()
    task = make_task(project=make_project(owner=user), status=TaskStatus.RUNNING)

    task_changed.send_robust(sender=None, task_id=task.pk)
    chat_tasks.sweep_chats()

    assert sent == []


def test_sweep_enqueues_whatever_a_lost_hint_left_behind(sent: Sent):
    phone, user = somebody()
    task = make_task(project=make_project(owner=user), status=TaskStatus.RUNNING)
    phone.writes("hello")
    sent.clear()

    chat_tasks.sweep_chats()

    assert ("bot.converse", {"user_id": user.pk}) in sent
    assert ("bot.draw_card", {"task_id": str(task.pk)}) in sent


def test_what_is_of_no_use_any_more_is_forgotten():
    phone, user = somebody()
    phone.writes("/secret")
    phone.writes("/language")
    long_ago = timezone.now() - timedelta(days=60)
    ProcessedUpdate.objects.create(update_id=-1)
    ProcessedUpdate.objects.filter(pk=-1).update(created_at=long_ago)
    Callback.objects.filter(argument="ru").update(expires_at=long_ago)
    Dialog.objects.create(chat=phone.chat, kind="answer", user=user, expires_at=long_ago)

    tidying.forget_old()

    assert not ProcessedUpdate.objects.filter(pk=-1).exists()
    assert ProcessedUpdate.objects.count() == 2
    assert set(Callback.objects.values_list("argument", flat=True)) == {"en"}
    assert not Dialog.objects.exists()
    assert not ChatMessage.objects.exists()
