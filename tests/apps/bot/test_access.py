"""Who comes in, how, and what a role allows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.bot.models import Callback, ChatMessage, ChatStatus, Delivery, DeliveryKind
from apps.projects.models import Invitation, User
from apps.projects.services import people
from tests.apps.bot.updates import Phone, somebody
from tests.factories import make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_stranger_is_refused_politely_and_may_ask():
    phone = Phone()

    phone.writes("build me a bot")

    assert phone.chat.status == ChatStatus.STRANGER
    assert "Ask for access" in phone.buttons()
    assert not ChatMessage.objects.exists()
    assert not User.objects.exists()


def test_stranger_who_writes_a_hundred_times_is_answered_once_a_minute():
    phone = Phone()

    for _ in range(20):
        phone.writes("let me in")

    assert len(phone.texts()) <= 2


def test_stranger_who_begins_again_is_answered():
    phone = Phone()
    phone.writes("let me in")

    phone.writes("/start")

    assert len(phone.texts()) >= 2


def test_stranger_is_let_in_by_the_tap_of_an_owner():
    owner, _ = somebody("owner")
    phone = Phone(first_name="Bob", username="bob")
    phone.writes("hello")

    phone.taps("Ask for access")
    asked = phone.chat.status
    owner.taps("Let in")

    person = User.objects.get(telegram_id=phone.id)
    assert (asked, phone.chat.status) == (ChatStatus.ASKED, ChatStatus.ACTIVE)
    assert (person.role, person.username) == ("viewer", "bob")  # the last of the two buttons
    assert "Welcome" in phone.last()


def test_stranger_is_refused_by_the_tap_of_an_owner():
    owner, _ = somebody("owner")
    phone = Phone()
    phone.writes("hello")
    phone.taps("Ask for access")

    owner.taps("Refuse")
    phone.writes("please")

    assert phone.chat.status == ChatStatus.REFUSED
    assert "no access" in phone.last()


def test_decision_is_taken_once_though_two_owners_were_asked():
    first, _ = somebody("owner")
    second, _ = somebody("owner")
    phone = Phone()
    phone.writes("hello")
    phone.taps("Ask for access")
    first.taps("Refuse")

    answers = second.taps("Let in")

    assert phone.chat.status == ChatStatus.REFUSED
    assert answers[-1].payload["is_alert"]


def test_operator_decides_about_nobody():
    somebody("operator")
    phone = Phone()
    phone.writes("hello")

    phone.taps("Ask for access")

    assert not Callback.objects.filter(action="approve").exists()


def test_invitation_lets_its_first_user_in_and_nobody_else():
    _, code = people.invite(created_by_id=None, role="owner")
    phone, late = Phone(), Phone()

    phone.writes(f"/start {code}")
    late.writes(f"/start {code}")

    assert User.objects.get().role == "owner"
    assert phone.chat.status == ChatStatus.ACTIVE
    assert "used already" in late.last()


def test_expired_and_unknown_invitations_are_told_as_such():
    _, code = people.invite(created_by_id=None, role="member")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    phone = Phone()

    phone.writes(f"/start {code}")
    expired = phone.last()
    phone.writes("/start nonsense")

    assert "expired" in expired
    assert "no such invitation" in phone.last()
    assert not User.objects.exists()


def test_person_whose_account_was_closed_is_out_at_once():
    phone, user = somebody()
    people.change_person(person_id=user.pk, is_active=False)

    phone.writes("build me a bot")

    assert phone.chat.status == ChatStatus.REFUSED
    assert not ChatMessage.objects.exists()


@pytest.mark.parametrize(
    ("role", "command", "is_allowed"),
    [
        ("viewer", "/new a shop", False),
        ("viewer", "/stop", False),
        ("viewer", "/secret", False),
        ("viewer", "/projects", True),
        ("member", "/workers", False),
        ("member", "/invite", False),
        ("operator", "/workers", True),
        ("operator", "/queues", True),
        ("operator", "/incidents", True),
        ("operator", "/users", False),
        ("operator", "/invite", False),
        ("owner", "/users", True),
        ("owner", "/invite viewer", True),
        ("owner", "/invite king", False),
    ],
)
def test_commands_are_for_those_whose_role_allows_them(role: str, command: str, is_allowed: bool):
    phone, _ = somebody(role)

    phone.writes(command)

    refused = "not allowed" in phone.last() or "cannot be done" in phone.last()
    assert refused is not is_allowed


def test_help_and_menu_show_what_a_person_may_use():
    phone, _ = somebody("member")

    phone.writes("/help")

    assert "/projects" in phone.last()
    assert "/workers" not in phone.last()


def test_member_sees_the_own_projects_and_a_viewer_all():
    member, user = somebody("member")
    viewer, _ = somebody("viewer")
    make_project(owner=user, name="Mine")
    make_project(name="Theirs")

    member.writes("/projects")
    viewer.writes("/projects")

    assert "Mine" in member.last()
    assert "Theirs" not in member.last()
    assert "Theirs" in viewer.last()


def test_language_is_chosen_and_spoken():
    phone, _ = somebody()

    phone.writes("/language ru")
    phone.writes("/help")

    assert phone.chat.language == "ru"
    assert "проекты" in phone.last()


def test_unknown_command_and_unknown_button_are_told():
    phone, _ = somebody()

    phone.writes("/frobnicate")
    answer = phone.does(phone.tap("nonsense"))[-1]

    assert "do not know this command" in phone.last()
    assert answer.kind == DeliveryKind.CALLBACK_ANSWER
    assert "not known" in answer.payload["text"]


def test_markup_in_names_is_shown_as_it_was_written():
    phone, user = somebody()
    make_project(owner=user, name="<b>x</b> & 'y' \u202eשלום")

    phone.writes("/projects")

    assert "&lt;b&gt;x&lt;/b&gt; &amp;" in phone.last()
    assert "\u202e" not in phone.last()
    assert Delivery.objects.exists()
