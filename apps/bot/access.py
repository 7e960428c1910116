"""Who may talk to the bot: people with an account, who came by an invitation or were let in by a tap."""

from typing import Final

from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import auditing, callbacks, outbox
from apps.bot import presenters as words
from apps.bot.incoming import Incoming
from apps.bot.models import Action, Chat, ChatStatus
from apps.bot.reach import Denied, may_change, powers_of
from apps.bot.talk import Talk
from apps.errors import Conflict
from apps.projects.models import User
from apps.projects.services import people
from apps.roles import Role

_MINUTE_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 5


class DecidedAlready(Conflict):
    """Somebody has decided that already."""

    code = "decided_already"


def meet(incoming: Incoming) -> tuple[Chat, User | None]:
    """Return the chat of an update, locked until the transaction ends, and who speaks, if let in."""
    defaults = {"language": incoming.language}
    chat, _is_new = Chat.objects.select_for_update(no_key=True).get_or_create(
        telegram_id=incoming.chat_id, defaults=defaults
    )
    user = find_person(incoming.person_id) if incoming.is_private else None
    Chat.objects.filter(pk=chat.pk).update(user=user, name=incoming.name, username=incoming.username)
    status = _status_of(ChatStatus(chat.status), user)
    if status != chat.status:
        Chat.transition(chat.pk, to=status)
        if user is not None and chat.status in (ChatStatus.BLOCKED, ChatStatus.GONE):
            outbox.owe_again(chat)
    return chat.reload(), user


def find_person(telegram_id: int) -> User | None:
    """Return the person of a Telegram account, if they may come in."""
    return User.objects.filter(telegram_id=telegram_id, is_active=True).first()


def part(incoming: Incoming) -> None:
    """Note that a person blocked the bot."""
    chat = Chat.objects.filter(telegram_id=incoming.chat_id).exclude(status=ChatStatus.BLOCKED).first()
    if chat is not None:
        Chat.try_transition(chat.pk, to=ChatStatus.BLOCKED)


def _status_of(status: ChatStatus, user: User | None) -> ChatStatus:
    """Return what a chat is that somebody writes in; whoever writes can be written to."""
    if user is not None:
        return ChatStatus.ACTIVE
    match status:
        case ChatStatus.ACTIVE:
            return ChatStatus.REFUSED  # the account was closed
        case ChatStatus.BLOCKED | ChatStatus.GONE:
            return ChatStatus.STRANGER
        case _:
            return status


def receive_stranger(talk: Talk) -> None:
    """Let somebody in who brings an invitation; tell the others how to ask."""
    incoming = talk.incoming
    if incoming.command == "start" and incoming.argument:
        return _redeem(talk, incoming.argument)
    # Whoever writes a hundred times is told once a minute; who begins anew has asked to be told.
    seconds = _PAUSE_SECONDS if incoming.command == "start" else _MINUTE_SECONDS
    turn = int(timezone.now().timestamp()) // seconds
    key = f"stranger:{talk.chat.pk}:{talk.chat.status}:{incoming.command == 'start'}:{turn}"
    match talk.chat.status:
        case ChatStatus.ASKED:
            text = _("You have asked for access. As soon as somebody decides, you will read it here.")
            outbox.send_text(talk.chat, text, key=key)
        case ChatStatus.REFUSED:
            text = _("You have no access here. Only somebody who runs this installation can change that.")
            outbox.send_text(talk.chat, text, key=key)
        case _:
            text = _(
                "Hello! I build software for the people of this installation, and I do not know you yet."
                " If you have an invitation, open its link, or send me /start and its code."
                " Otherwise you may ask for access."
            )
            ask = callbacks.button(
                _("Ask for access"),
                chat=talk.chat,
                user=None,
                action=Action.ASK_ACCESS,
                key=f"{key}:ask",
            )
            outbox.send_text(talk.chat, text, key=key, buttons=[[ask]])


def _redeem(talk: Talk, code: str) -> None:
    person = people.redeem(
        code=code,
        telegram_id=talk.incoming.person_id,
        username=talk.incoming.username,
        first_name=talk.incoming.name,
    )
    auditing.note_arrival(person)
    _let_in(talk.chat, person, key=talk.key("welcome"))


def accept_code(talk: Talk, code: str) -> None:
    """Take an invitation of a person who is here already: it may raise the role.

    Raises:
        OrchestratorError: the invitation is not good, or not any more.

    """
    _redeem(talk, code)


def ask(talk: Talk) -> str:
    """Put a stranger's wish before the people who decide."""
    chat = talk.chat
    if chat.status != ChatStatus.STRANGER:
        raise DecidedAlready(_("You have asked already."))
    Chat.transition(chat.pk, to=ChatStatus.ASKED)
    for owner_chat in owner_chats():
        with translation.override(owner_chat.language):
            _put_before(owner_chat, chat, key=talk.key(f"ask:{owner_chat.pk}"))
    talk.say(_("I have passed it on. As soon as somebody decides, you will read it here."))
    return ""


def owner_chats() -> QuerySet[Chat]:
    """Return the chats of those who decide about people."""
    return Chat.objects.filter(status=ChatStatus.ACTIVE, user__role=Role.OWNER, user__is_active=True)


def _put_before(owner_chat: Chat, chat: Chat, *, key: str) -> None:
    username = f" (@{words.name(chat.username)})" if chat.username else ""
    text = _("%(name)s%(username)s asks for access. Telegram id: %(id)s") % {
        "name": words.bold(chat.name or "?"),
        "username": username,
        "id": words.code(chat.telegram_id),
    }
    choices = (
        (_("Let in"), Action.APPROVE, Role.MEMBER),
        (_("Let in, to look only"), Action.APPROVE, Role.VIEWER),
        (_("Refuse"), Action.DENY, ""),
    )
    buttons = [
        [
            callbacks.button(
                title,
                chat=owner_chat,
                user=owner_chat.user,
                action=action,
                subject=chat.pk,
                argument=str(role),
                key=f"{key}:{action}:{role}",
            )
        ]
        for title, action, role in choices
    ]
    outbox.send_text(owner_chat, text, key=key, buttons=buttons)


def decide(talk: Talk, *, chat_id: str, role: str) -> str:
    """Let in or refuse somebody who asked.

    Args:
        talk: of the owner who tapped.
        chat_id: key of the chat of whoever asked.
        role: what they become; empty: they are refused.

    Raises:
        DecidedAlready: nobody waits for a decision there.
        Denied: only owners decide about people.

    """
    if not powers_of(talk.person).manages_people:
        raise Denied()
    chat = Chat.objects.select_for_update(no_key=True).filter(pk=chat_id, status=ChatStatus.ASKED).first()
    if chat is None:
        raise DecidedAlready()
    key = f"access:{chat.pk}:{talk.key('decision')}"
    if not role:
        Chat.transition(chat.pk, to=ChatStatus.REFUSED)
        with translation.override(chat.language):
            outbox.send_text(chat, _("Sorry: you were not given access."), key=key)
        return _("Refused.")
    _invitation, code = people.invite(created_by_id=talk.person.pk, role=role)
    person = people.redeem(
        code=code, telegram_id=chat.telegram_id, username=chat.username, first_name=chat.name
    )
    _let_in(chat, person, key=key)
    return _("Let in.")


def _let_in(chat: Chat, person: User, *, key: str) -> None:
    if chat.status != ChatStatus.ACTIVE:
        Chat.transition(chat.pk, to=ChatStatus.ACTIVE, user_id=person.pk)
    with translation.override(chat.language):
        outbox.send_text(chat, welcome(person), key=key)


def welcome(person: User, *, is_back: bool = False) -> str:
    """Return the first words to somebody who was let in.

    Args:
        person: who they are.
        is_back: whether we have talked before.

    """
    named = {
        "name": words.bold(person.first_name or person.username),
        "role": words.text(Role(person.role).label),
    }
    first = _("Welcome, %(name)s! You are here as: %(role)s.")
    hello = (_("Welcome back, %(name)s! You are here as: %(role)s.") if is_back else first) % named
    if not may_change(person):
        return f"{hello}\n" + _("You may look at everything: /projects, /status, /help.")
    return f"{hello}\n" + _(
        "Write what you want to have built, in your own words, for example:"
        " “an inventory of books with title, author and year”. /help shows the commands."
    )
