"""Invitations, who comes in by them, and roles."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.messages import get_messages
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.errors import Invalid
from apps.projects import services
from apps.projects.models import Invitation, PersonalToken, User
from apps.roles import Role
from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_code_lets_one_person_in_with_its_role():
    owner = make_user(role=Role.OWNER)
    invitation, code = services.invite(created_by_id=owner.pk, role=Role.OPERATOR)

    person = services.redeem(code=code, telegram_id=77, username="ann!", first_name="Ann\x00")

    assert (person.username, person.first_name, person.role, person.is_staff) == (
        "ann",
        "Ann",
        Role.OPERATOR,
        True,
    )
    assert not person.has_usable_password()
    assert invitation.reload().used_by == person


def test_code_is_kept_as_a_digest():
    _, code = services.invite(created_by_id=None, role=Role.MEMBER)

    assert code not in str(Invitation.objects.values().get())


def test_the_same_person_may_follow_the_same_code_twice_and_nobody_else():
    _, code = services.invite(created_by_id=None, role=Role.MEMBER)
    first = services.redeem(code=code, telegram_id=77)

    again = services.redeem(code=code, telegram_id=77)

    assert again.pk == first.pk
    with pytest.raises(services.InvitationUsed):
        services.redeem(code=code, telegram_id=78)


def test_unknown_and_expired_codes_let_nobody_in():
    invitation, code = services.invite(created_by_id=None, role=Role.MEMBER)
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(services.InvitationExpired):
        services.redeem(code=code, telegram_id=77)
    for unknown in ("", "x" * 100_000, "\ud800"):
        with pytest.raises(services.InvitationUnknown):
            services.redeem(code=unknown, telegram_id=77)
    assert not User.objects.exists()


def test_who_is_here_already_keeps_the_higher_role():
    operator = make_user(role=Role.OPERATOR, telegram_id=77)
    _, lower = services.invite(created_by_id=None, role=Role.VIEWER)
    _, upper = services.invite(created_by_id=None, role=Role.OWNER)

    kept = services.redeem(code=lower, telegram_id=77).role
    raised = services.redeem(code=upper, telegram_id=77)

    assert (kept, raised.role, raised.pk) == (Role.OPERATOR, Role.OWNER, operator.pk)


def test_viewers_become_viewers():
    _, code = services.invite(created_by_id=None, role=Role.VIEWER)

    assert services.redeem(code=code, telegram_id=77).role == Role.VIEWER


def test_invitation_for_an_account_connects_it_to_the_chat():
    account = make_user(role=Role.OWNER)
    _, code = services.invite(created_by_id=None, role=Role.OWNER, person_id=account.pk)

    person = services.redeem(code=code, telegram_id=77, username="ann")

    assert (person.pk, person.telegram_id, person.username) == (account.pk, 77, account.username)


def test_chat_of_somebody_else_is_not_taken_from_them():
    make_user(telegram_id=77)
    _, code = services.invite(created_by_id=None, role=Role.OWNER, person_id=make_user().pk)

    with pytest.raises(services.TelegramTaken):
        services.redeem(code=code, telegram_id=77)


def test_taken_name_gets_the_number_of_its_chat():
    make_user(username="Ann")
    _, code = services.invite(created_by_id=None, role=Role.MEMBER)

    assert services.redeem(code=code, telegram_id=77, username="ann").username == "ann-77"


@pytest.mark.parametrize(
    "words", [{"role": "king"}, {"ttl": timedelta(0)}, {"ttl": timedelta(days=91)}, {"person_id": 0}]
)
def test_nonsense_is_no_invitation(words):
    with pytest.raises(Invalid):
        services.invite(**{"created_by_id": None, "role": Role.MEMBER, **words})


def test_unused_invitation_can_be_withdrawn_and_a_used_one_not():
    unused, code = services.invite(created_by_id=None, role=Role.MEMBER)
    used, other = services.invite(created_by_id=None, role=Role.MEMBER)
    services.redeem(code=other, telegram_id=78)

    services.withdraw_invitation(invitation_id=unused.pk)
    services.withdraw_invitation(invitation_id=unused.pk)

    with pytest.raises(services.InvitationUnknown):
        services.redeem(code=code, telegram_id=77)
    with pytest.raises(services.InvitationUsed):
        services.withdraw_invitation(invitation_id=used.pk)


def test_last_owner_stays_one():
    owner, other = make_user(role=Role.OWNER), make_user(role=Role.OWNER)
    services.change_person(person_id=other.pk, role=Role.MEMBER)

    for change in ({"role": Role.OPERATOR}, {"is_active": False}):
        with pytest.raises(services.LastOwner):
            services.change_person(person_id=owner.pk, **change)
    other.refresh_from_db()
    assert (other.role, other.is_staff, other.is_superuser) == (Role.MEMBER, False, False)


@pytest.mark.parametrize(
    ("role", "staff", "superuser"),
    [
        (Role.OWNER, True, True),
        (Role.OPERATOR, True, False),
        (Role.MEMBER, False, False),
        (Role.VIEWER, False, False),
    ],
)
def test_what_django_knows_follows_the_role(role, staff, superuser):
    person = make_user(role=role)

    assert (person.is_staff, person.is_superuser) == (staff, superuser)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=person.pk).update(is_staff=not staff)


def test_djangos_words_become_roles():
    owner = User.objects.create_superuser("first", password="first-password-1")

    assert owner.role == Role.OWNER
    assert make_user(is_staff=True).role == Role.OPERATOR


def test_operator_may_everything_in_the_admin_but_people():
    operator, member = make_user(role=Role.OPERATOR), make_user()

    assert operator.has_perm("projects.change_task")
    assert operator.has_perm("projects.view_projectsecret")
    assert not operator.has_perm("projects.view_user")
    assert not operator.has_perm("projects.add_invitation")
    assert not member.has_perm("projects.view_task")
    assert not make_user(role=Role.OPERATOR, is_active=False).has_perm("projects.view_task")


def test_command_prints_a_code_that_works():
    printed = StringIO()

    call_command("invite", "--role", "owner", stdout=printed, stderr=StringIO())

    assert services.redeem(code=printed.getvalue().strip(), telegram_id=77).role == Role.OWNER


def invited_by_default(*words: str) -> tuple[str, str]:
    """What the command prints: to be handed on, and about it."""
    printed, told = StringIO(), StringIO()
    call_command("invite", *words, stdout=printed, stderr=told)
    return printed.getvalue().strip(), told.getvalue()


def test_first_person_invited_at_a_terminal_becomes_owner_and_later_ones_members():
    make_user(role=Role.OWNER, username="admin")  # as set-up makes it: without a chat
    first, told = invited_by_default()
    person = services.redeem(code=first, telegram_id=77)

    second, _ = invited_by_default()
    later = services.redeem(code=second, telegram_id=78)

    assert (person.role, later.role) == (Role.OWNER, Role.MEMBER)
    assert "as owner" in told


def test_owner_who_was_let_out_leaves_the_next_one_to_be_owner():
    make_user(role=Role.OWNER, telegram_id=77, is_active=False)

    assert services.role_of_next() == Role.OWNER


def test_account_that_is_connected_to_a_chat_keeps_its_role():
    viewer = make_user(role=Role.VIEWER, username="vera")

    code, _ = invited_by_default("--username", "vera")
    services.redeem(code=code, telegram_id=77)

    viewer.refresh_from_db()
    assert (viewer.role, viewer.telegram_id) == (Role.VIEWER, 77)


def test_invitation_is_a_link_as_soon_as_the_bot_has_a_name():
    services.note_bot("old_bot")
    services.note_bot("our_bot")

    link, _ = invited_by_default()

    start, _, code = link.partition("=")
    assert start == "https://t.me/our_bot?start"
    assert services.redeem(code=code, telegram_id=77).role == Role.OWNER


def test_link_is_shown_in_the_admin(client):
    services.note_bot("our_bot")
    client.force_login(make_user(role=Role.OWNER))

    answer = client.post("/admin/projects/invitation/add/", {"role": "member", "person": ""})

    assert shown_once(answer).startswith("https://t.me/our_bot?start=")


@pytest.mark.parametrize("has_bot", [True, False])
def test_link_is_in_the_answer_of_the_api(client, has_bot):
    if has_bot:
        services.note_bot("our_bot")
    client.force_login(make_user(role=Role.OWNER))

    answer = client.post("/api/invitations/", {"role": "member"}, content_type="application/json").json()

    assert answer["link"] == (f"https://t.me/our_bot?start={answer['code']}" if has_bot else "")


def test_command_refuses_an_account_that_is_not_here():
    with pytest.raises(CommandError):
        call_command("invite", "--username", "nobody")


def shown_once(answer):
    """What the newest warning of a page ends with."""
    said = [str(message) for message in get_messages(answer.wsgi_request)]
    return [words for words in said if "shown this once" in words][-1].split()[-1]


def test_owner_invites_and_makes_tokens_in_the_admin_and_sees_each_once(client):
    owner = make_user(role=Role.OWNER)
    client.force_login(owner)

    invited = client.post("/admin/projects/invitation/add/", {"role": "member", "person": ""})
    token = {"user": owner.pk, "name": "ci", "scopes": ["read"]}
    made = client.post("/admin/projects/personaltoken/add/", token)

    code, words = shown_once(invited), shown_once(made)
    assert services.redeem(code=code, telegram_id=77).role == Role.MEMBER
    assert PersonalToken.objects.get().scopes == ["read"]
    asked = client.get("/api/projects/", headers={"Authorization": f"Token {words}"})
    pages = [client.get("/admin/projects/personaltoken/").content.decode() for _ in range(2)]
    assert asked.status_code == 200
    assert [words in page for page in pages] == [True, False]


def test_last_owner_is_not_demoted_in_the_admin(client):
    owner = make_user(role=Role.OWNER)
    client.force_login(owner)
    form = {"username": owner.username, "role": "member", "is_active": "on"}

    client.post(f"/admin/projects/user/{owner.pk}/change/", form)

    owner.refresh_from_db()
    assert owner.role == Role.OWNER
