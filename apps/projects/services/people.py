"""Writes people: invitations, who comes in by them, roles."""

import hashlib
import re
import secrets
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.errors import Conflict, Invalid, NotFound
from apps.projects.models import Invitation, InvitingBot, User
from apps.roles import Role, higher

DEFAULT_TTL = timedelta(days=7)
MAX_TTL = timedelta(days=90)
#: What a deep link of Telegram may carry is 64 characters of A-Z a-z 0-9 _ -.
_CODE_BYTES = 24
_PREFIX_CHARACTERS = 6
_USERNAME_CHARACTERS = 60


class InvitationUnknown(NotFound):
    """There is no such invitation."""

    code = "invitation_unknown"


class InvitationUsed(Conflict):
    """This invitation was used already."""

    code = "invitation_used"


class InvitationExpired(Conflict):
    """This invitation has expired."""

    code = "invitation_expired"


class TelegramTaken(Conflict):
    """This chat belongs to another person here."""

    code = "telegram_taken"


class PersonNotFound(NotFound):
    """There is no such person."""

    code = "person_not_found"


class LastOwner(Conflict):
    """Somebody must remain who is an owner."""

    code = "last_owner"


def invite(
    *, created_by_id: int | None, role: str, ttl: timedelta = DEFAULT_TTL, person_id: int | None = None
) -> tuple[Invitation, str]:
    """Write an invitation; returns it with its code, which nothing can show again.

    Args:
        created_by_id: the owner who invites; None for the command line.
        role: what whoever comes becomes.
        ttl: how long the code is good.
        person_id: an account that exists; the code connects it to a chat.

    Raises:
        Invalid: ``details`` maps each refused argument to its problem.

    """
    if role not in Role.values:
        raise Invalid(details={"role": "is none of " + ", ".join(Role.values)})
    if not timedelta(0) < ttl <= MAX_TTL:
        raise Invalid(details={"ttl": f"must be at most {MAX_TTL.days} days"})
    if person_id is not None and not User.objects.filter(pk=person_id, is_active=True).exists():
        raise Invalid(details={"person": "is not a person here"})
    code = secrets.token_urlsafe(_CODE_BYTES)
    invitation = Invitation.objects.create(
        code_sha256=_digest(code),
        prefix=code[:_PREFIX_CHARACTERS],
        role=role,
        person_id=person_id,
        created_by_id=created_by_id,
        expires_at=timezone.now() + ttl,
    )
    return invitation, code


def link_of(code: str) -> str:
    """Return the address that opens the bot with a code; empty while no bot was heard of."""
    bot = InvitingBot.objects.first()
    return f"https://t.me/{bot.username}?start={code}" if bot is not None else ""


def note_bot(username: str) -> None:
    """Remember what the bot is called, so that invitations lead to it."""
    known = {"username": username, "named_at": timezone.now()}
    InvitingBot.objects.update_or_create(name="telegram", defaults=known)


def role_of_next() -> Role:
    """Return what a person invited at a terminal becomes: the owner, while no owner can talk to the bot.

    The account that set-up made does not count: it has no chat.
    """
    owners = User.objects.filter(role=Role.OWNER, is_active=True, telegram_id__isnull=False)
    return Role.MEMBER if owners.exists() else Role.OWNER


@transaction.atomic
def redeem(*, code: str, telegram_id: int, username: str = "", first_name: str = "") -> User:
    """Let somebody in by a code; the same person with the same code again is let in again.

    A person who is here already keeps the higher of both roles.

    Args:
        code: of the invitation, as it was typed or followed.
        telegram_id: who comes.
        username: what they are called in Telegram, untrusted; a free name is made of it.
        first_name: untrusted as well.

    Raises:
        InvitationExpired: too late.
        InvitationUnknown: there is none of that code, or it was withdrawn.
        InvitationUsed: somebody else was first.
        TelegramTaken: the invitation is for an account, and the chat belongs to another one.

    """
    invitation = Invitation.objects.select_for_update(of=("self",)).filter(code_sha256=_digest(code)).first()
    if invitation is None:
        raise InvitationUnknown()
    known = User.objects.select_for_update().filter(telegram_id=telegram_id).first()
    if invitation.used_at is not None:
        if known is not None and invitation.used_by_id == known.pk:
            return known
        raise InvitationUsed()
    if invitation.expires_at <= timezone.now():
        raise InvitationExpired()
    person = _guest(invitation, known, telegram_id) or _newcomer(username, telegram_id)
    person.role = higher(person.role, invitation.role) if person.pk else invitation.role
    person.first_name = person.first_name or _printable(first_name)
    person.is_active = True
    person.save()
    invitation.used_by, invitation.used_at = person, timezone.now()
    invitation.save(update_fields=["used_by", "used_at"])
    return person


def withdraw_invitation(*, invitation_id: UUID) -> None:
    """Make an invitation that nobody used good for nothing; a missing one is success.

    Raises:
        InvitationUsed: somebody came in by it, and the row tells who.

    """
    deleted, _ = Invitation.objects.filter(pk=invitation_id, used_at=None).delete()
    if not deleted and Invitation.objects.filter(pk=invitation_id).exists():
        raise InvitationUsed()


@transaction.atomic
def change_person(*, person_id: int, role: str | None = None, is_active: bool | None = None) -> None:
    """Give a person another role, or let them in or out.

    Raises:
        Invalid: there is no such role.
        LastOwner: nobody would be left who may do this.
        PersonNotFound: there is none of that id.

    """
    if role is not None and role not in Role.values:
        raise Invalid(details={"role": "is none of " + ", ".join(Role.values)})
    # All owners are locked, in one order: of two who demote each other one must fail.
    owners = set(
        User.objects.select_for_update()
        .filter(role=Role.OWNER, is_active=True)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    person = User.objects.select_for_update().filter(pk=person_id).first()
    if person is None:
        raise PersonNotFound(details={"person": str(person_id)})
    person.role = role or person.role
    person.is_active = person.is_active if is_active is None else is_active
    if owners == {person.pk} and not (person.role == Role.OWNER and person.is_active):
        raise LastOwner()
    person.save(update_fields=["role", "is_active"])


def _guest(invitation: Invitation, known: User | None, telegram_id: int) -> User | None:
    """Return the account that comes in: the invited one, else the one of this chat, else None."""
    if invitation.person_id is None:
        return known
    if known is not None and known.pk != invitation.person_id:
        raise TelegramTaken()
    person = User.objects.select_for_update().get(pk=invitation.person_id)
    if person.telegram_id not in {None, telegram_id}:
        raise TelegramTaken()
    person.telegram_id = telegram_id
    return person


def _newcomer(username: str, telegram_id: int) -> User:
    wanted = re.sub(r"[^\w.+-]", "", username, flags=re.ASCII)[:_USERNAME_CHARACTERS]
    if not wanted or User.objects.filter(username__iexact=wanted).exists():
        wanted = f"{wanted or 'tg'}-{telegram_id}"
    person = User(username=wanted, telegram_id=telegram_id)
    # The chat is the way in; a password may be set by an owner.
    person.set_unusable_password()
    return person


def _printable(words: str) -> str:
    kept = "".join(sign for sign in words if sign.isprintable())
    return kept.encode(errors="ignore").decode()[: User._meta.get_field("first_name").max_length]


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()
