"""Every command there is answers something that a person can use."""

import pytest

from apps.bot import cards, commands
from apps.bot.models import Delivery, DeliveryKind, Trouble
from tests.apps.bot.updates import somebody
from tests.factories import make_project, make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]

EVERYBODY = ("start", "help", "projects", "project", "tasks", "status", "servers", "language", "settings")
BUILDERS = ("new", "secret", "stop")
OPERATORS = ("workers", "kill", "queues", "incidents", "provision")
OWNERS = ("users", "invite")
ALL = (*EVERYBODY, *BUILDERS, *OPERATORS, *OWNERS)


def test_the_list_of_commands_is_the_whole_list():
    assert set(commands.COMMANDS) == set(ALL)


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("name", ALL)
def test_command_is_answered_in_the_persons_language(name: str, language: str):
    phone, _ = somebody("owner")
    type(phone.chat).objects.update(language=language)

    phone.writes(f"/{name}")

    answer = phone.last()
    has_russian = any("а" <= letter <= "я" for letter in answer.casefold())
    assert "I do not know this command" not in answer
    assert has_russian == (language == "ru")
    assert not Trouble.objects.exists()


@pytest.mark.parametrize("name", [*OPERATORS, *OWNERS])
def test_command_of_those_who_run_the_installation_is_refused_to_a_member(name: str):
    phone, _ = somebody("member")

    phone.writes(f"/{name}")

    assert "not allowed" in phone.last()


def test_quiet_chat_hears_results_only():
    phone, _ = somebody("member")
    phone.writes("/settings")

    phone.taps("Sound for results only")
    phone.writes("/settings")

    assert phone.chat.is_quiet
    assert "results, answers and questions only" in phone.last()
    phone.taps("Sound for everything")
    assert not phone.chat.is_quiet


def test_settings_and_language_do_what_follows_them_or_say_that_they_cannot():
    phone, _ = somebody("member")

    phone.writes("/settings quiet")
    assert phone.chat.is_quiet
    phone.writes("/settings loud")
    assert not phone.chat.is_quiet
    phone.writes("/settings green")
    assert "That I cannot set" in phone.last()
    phone.writes("/language de")

    assert "I do not speak de." in phone.last()
    assert phone.chat.language == "en"


def test_whoever_begins_again_is_greeted_as_an_acquaintance():
    phone, _ = somebody("member")
    phone.writes("/start")
    first = phone.last()

    phone.writes("/start")

    assert "Welcome back" not in first
    assert "Welcome back" in phone.last()


def test_which_worker_is_meant_is_asked_with_the_list_of_them():
    phone, _ = somebody("operator")

    phone.writes("/kill")

    assert "Workers" in phone.last()


@pytest.mark.parametrize("is_quiet", [True, False])
def test_card_of_a_quiet_chat_makes_no_sound_and_its_end_does(is_quiet: bool):
    phone, user = somebody("member")
    type(phone.chat).objects.update(is_quiet=is_quiet)
    task = make_task(project=make_project(owner=user), status="running", requested_by=user)
    cards.draw(task_id=task.pk)
    type(task).objects.update(status="succeeded")

    cards.draw(task_id=task.pk)

    quiet = {row.kind: row.payload["is_quiet"] for row in Delivery.objects.all()}
    assert quiet == {DeliveryKind.CARD: is_quiet, DeliveryKind.TEXT: False}
