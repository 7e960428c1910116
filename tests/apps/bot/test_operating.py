"""What those who run the installation do from a chat."""

from typing import Any

import pytest

from apps.bot import chat_tasks, composition
from apps.infra import incidents
from apps.infra.models import Provisioning, Server, ServerKind
from apps.projects.services import people
from tests.apps.bot.updates import somebody
from tests.factories import make_server
from tests.telegram_server import TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def make_remote(**fields: object) -> Server:
    """A server that an operator has added and nobody has set up."""
    defaults = {"kind": ServerKind.SSH, "host": "192.0.2.7", "status": "discovered", "name": "north"}
    return make_server(**{**defaults, **fields})


def test_provision_lists_the_servers_that_may_be_set_up():
    make_server(name="here")
    make_remote()
    make_remote(name="foreign", host="192.0.2.8", provider="time4vps", provider_id="7")
    make_remote(name="gone", host="192.0.2.9", status="decommissioned")
    phone, _ = somebody("operator")

    phone.writes("/provision")

    assert "<code>north</code>: Discovered" in phone.last()
    assert not any(name in phone.last() for name in ("here", "foreign", "gone"))


def test_set_up_begins_with_the_tap_and_not_before():
    server = make_remote()
    phone, user = somebody("operator")

    phone.writes("/provision North")
    told, before = phone.last(), Provisioning.objects.count()
    phone.taps("Set up north")

    row = Provisioning.objects.get()
    assert "Nothing is erased" in told
    assert (before, row.server_id, row.requested_by_id) == (0, server.pk, user.pk)
    assert server.reload().status == "pending_setup"


def test_second_tap_sets_nothing_up_again():
    make_remote()
    phone, _ = somebody("operator")
    phone.writes("/provision north")
    phone.taps("Set up north")

    answers = phone.taps("Set up north")

    assert Provisioning.objects.count() == 1
    assert "used already" in answers[-1].payload["text"]


def test_server_that_is_being_set_up_is_not_asked_about_again():
    make_remote()
    phone, _ = somebody("operator")
    phone.writes("/provision north")
    phone.taps("Set up north")

    phone.writes("/provision north")

    assert "being set up already" in phone.last()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "other"}, "does not exist"),
        ({"kind": ServerKind.LOCAL}, "this machine"),
        ({"provider": "time4vps", "provider_id": "7"}, "not among those that I may touch"),
    ],
)
def test_server_that_may_not_be_touched_is_refused_in_words(fields: dict[str, str], words: str):
    make_remote(**fields)
    phone, _ = somebody("operator")

    phone.writes("/provision north")

    assert words in phone.last()
    assert not phone.buttons()


def test_former_operator_sets_up_nothing_by_an_old_button():
    make_remote()
    phone, user = somebody("operator")
    phone.writes("/provision north")
    type(user).objects.update(role="member", is_staff=False)

    phone.taps("Set up north")

    assert not Provisioning.objects.exists()


@pytest.mark.parametrize("is_named", [True, False])
def test_invitation_is_a_link_and_a_code(is_named: bool):
    if is_named:
        people.note_bot("our_bot")
    phone, _ = somebody("owner")

    phone.writes("/invite operator")

    assert ("https://t.me/our_bot?start=" in phone.last()) is is_named
    assert "<code>/start " in phone.last()


def test_bot_learns_its_name_from_telegram_and_keeps_it_in_silence(telegram: TelegramServer, settings: Any):
    settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_API_BASE_URL = telegram.token, telegram.url
    chat_tasks.note_name()
    link = people.link_of("x")
    settings.TELEGRAM_API_BASE_URL = "http://127.0.0.1:1"

    chat_tasks.note_name()

    composition.close_client()
    assert link.startswith("https://t.me/")
    assert people.link_of("x") == link


def test_open_incidents_are_listed_the_worst_first():
    incidents.report(kind="disk_full", subject="server:7", message="The <disk> is at 91 %.")
    incidents.report(
        kind="server_down", subject="server:8", message="It does not answer.", severity="critical"
    )
    incidents.report(kind="over", subject="server:9", message="This is over.")
    incidents.resolve(kind="over", subject="server:9")
    phone, _ = somebody("operator")

    phone.writes("/incidents")

    told = phone.last()
    assert (
        0 < told.index("Critical: It does not answer.") < told.index("Warning: The &lt;disk&gt; is at 91 %.")
    )
    assert "This is over." not in told
