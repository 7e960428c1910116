"""Deeds in the chat are written down beside those of the admin and the API."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from apps.bot import auditing, callbacks, taps
from apps.bot.models import Action, Callback
from apps.bot.talk import Talk
from apps.projects.models import ProjectSecret, User
from apps.projects.services import people
from tests.apps.bot.updates import Phone, somebody
from tests.factories import make_project, make_task, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]

SILENT = set(Action) - set(auditing.DEEDS)


def lines() -> list[tuple[int, str, str, str]]:
    """What was written down: who, the model, its row, the words."""
    found = LogEntry.objects.order_by("pk").select_related("content_type")
    return [
        (one.user_id, str(one.content_type and one.content_type.model), one.object_id, one.change_message)
        for one in found
    ]


def tap(phone: Phone, user: User, action: str, **fields: Any) -> None:
    button = callbacks.button("Do", chat=phone.chat, user=user, action=action, key=f"test:{action}", **fields)
    phone.does(phone.tap(button.data))


def do_nothing(_talk: Talk, _row: Callback) -> str:
    return ""


@pytest.mark.parametrize("action", sorted(auditing.DEEDS))
def test_deed_is_written_down_with_its_row(action: Action, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(taps._DEEDS, action, do_nothing)
    phone, user = somebody("owner")

    tap(phone, user, action, subject="7", argument="member")

    ((who, model, row, said),) = lines()
    assert (who, model, row) == (user.pk, auditing.DEEDS[action]._meta.model_name, "7")
    assert said.startswith(f"Chat: {Action(action).label}")


@pytest.mark.parametrize("action", sorted(SILENT))
def test_tap_that_only_shows_or_asks_is_not_written_down(action: Action, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(taps._DEEDS, action, do_nothing)
    phone, user = somebody("owner")

    tap(phone, user, action, subject="7")

    assert lines() == []


def test_deed_that_is_refused_is_not_written_down():
    phone, user = somebody("member")

    tap(phone, user, Action.KILL, subject=make_worker().pk)

    assert lines() == []


def test_stop_of_a_task_is_in_the_history_of_the_task():
    phone, user = somebody("member")
    task = make_task(project=make_project(owner=user), status="pending")
    phone.writes("/stop")

    phone.taps("Stop")

    assert lines() == [(user.pk, "task", str(task.pk), "Chat: Stop a task")]


def test_person_is_let_in_by_somebody_as_something():
    owner, user = somebody("owner")
    phone = Phone()
    phone.writes("hello")
    phone.taps("Ask for access")

    owner.taps("Let in")

    assert lines() == [(user.pk, "chat", str(phone.chat.pk), "Chat: Let a person in, as viewer")]


def test_invitation_and_who_came_by_it_are_written_down():
    owner, user = somebody("owner", username="olga")
    owner.writes("/invite operator")
    code = owner.last().partition("/start ")[2].partition("<")[0]
    phone = Phone()

    phone.writes(f"/start {code}")

    (_, model, _, invited), (guest, _, _, came) = lines()
    assert (model, invited) == ("invitation", "Chat: Invite, as operator")
    assert guest == User.objects.get(telegram_id=phone.id).pk != user.pk
    assert came == f"Chat: Come in by invitation {code[:6]}… of olga, as operator"


def test_invitation_made_at_a_terminal_is_written_down_when_somebody_comes():
    _, code = people.invite(created_by_id=None, role="owner")
    phone = Phone()

    phone.writes(f"/start {code}")

    assert lines()[0][3] == f"Chat: Come in by invitation {code[:6]}… of the command line, as owner"


def test_secret_is_written_down_without_its_value():
    phone, user = somebody("member")
    project = make_project(owner=user)
    phone.writes(f"/secret {project.slug} API_KEY")

    phone.writes("swordfish-4711")

    assert ProjectSecret.objects.filter(project=project, key="API_KEY").exists()
    assert lines() == [(user.pk, "project", str(project.pk), "Chat: Give the secret API_KEY")]
    assert "swordfish" not in str(list(LogEntry.objects.values()))
