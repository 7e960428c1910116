"""Where an update goes: to strangers' reception, a command, a dialog, a question, or the assistant."""

from collections.abc import Mapping, Sequence
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps import telegram
from apps.bot import (
    access,
    callbacks,
    chat_tasks,
    commands,
    conversation,
    dialogs,
    outbox,
    pool,
    questions,
    taps,
)
from apps.bot.incoming import Incoming, Kind
from apps.bot.models import Action
from apps.bot.secret_shapes import find_tokens, looks_secret
from apps.bot.talk import Talk
from apps.telegram import BotResult

_MOST_ASKED: Final = 3
_ASK_SECONDS: Final = 5.0


def needs_telegram(incoming: Incoming) -> bool:
    """Tell whether Telegram has to be asked about bots before an update can be handled."""
    return bool(_told_tokens(incoming)) or _is_for_pool(incoming)


def ask_telegram(incoming: Incoming) -> Mapping[str, BotResult]:
    """Ask Telegram about the bots that an update may be about, before the transaction of its effects."""
    if _is_for_pool(incoming):
        return dict(pool.ask(healthy=_MOST_ASKED))
    return {
        token: telegram.get_me(settings.TELEGRAM_API_BASE_URL, token, timeout_seconds=_ASK_SECONDS)
        for token in _told_tokens(incoming)[:_MOST_ASKED]
    }


def _told_tokens(incoming: Incoming) -> Sequence[str]:
    if incoming.kind != Kind.MESSAGE or incoming.command:
        return ()
    return find_tokens(incoming.text)


def _is_for_pool(incoming: Incoming) -> bool:
    return incoming.kind == Kind.TAP and callbacks.action_of(incoming.data) == Action.POOL


def route(talk: Talk) -> None:
    """Let an update do what it is for.

    Raises:
        OrchestratorError: it cannot be done; the person is told why.

    """
    incoming = talk.incoming
    if not incoming.is_private:
        _explain_groups(talk)
    elif incoming.kind == Kind.TAP:
        taps.act(talk)
    elif incoming.kind == Kind.EDIT:
        _look_at_edit(talk)
    elif incoming.kind == Kind.MESSAGE and talk.user is None:
        access.receive_stranger(talk)
    elif incoming.kind == Kind.MESSAGE:
        _receive(talk)


def _receive(talk: Talk) -> None:
    incoming = talk.incoming
    dialog = dialogs.find_open(talk.chat)
    # A value may begin with a slash, so while one is expected only commands that there are count.
    may_be_value = dialog is not None and dialog.is_secret and incoming.command not in commands.COMMANDS
    if incoming.command and not may_be_value and not looks_secret(incoming.text):
        dialogs.leave(talk.chat)
        commands.run(talk)
        if dialog is not None and dialog.is_secret:
            dialogs.remind(talk, dialog)
        return
    dialog = dialog or dialogs.find_replied(talk)
    if dialog is not None:
        dialogs.take(talk, dialog)
    elif looks_secret(incoming.text):
        dialogs.catch_stray(talk)
    elif not _answer_question(talk):
        _talk(talk)


def _answer_question(talk: Talk) -> bool:
    """Take a message for the answer to a question that any words answer."""
    text = talk.incoming.text.strip()
    if not text or talk.incoming.files:
        return False
    free = questions.find_free(talk.person)
    if free is None:
        return False
    questions.answer(talk, question_id=free.pk, text=text)
    outbox.show_typing(talk.chat)
    return True


def _talk(talk: Talk) -> None:
    text = talk.incoming.text
    if text.strip() or talk.incoming.files:
        conversation.hear(talk, text=text, wake=chat_tasks.converse)
    else:
        talk.say(_("I understand text, photos, documents and voice messages; this was none of them."))


def _look_at_edit(talk: Talk) -> None:
    if looks_secret(talk.incoming.text):
        talk.forget_message()


def _explain_groups(talk: Talk) -> None:
    """Say once a day in a group that this is no place for it."""
    if talk.incoming.kind == Kind.TAP:
        talk.answer_tap()
    elif talk.incoming.command:
        key = f"group:{talk.chat.pk}:{timezone.now():%Y-%m-%d}"
        outbox.send_text(talk.chat, _("I talk to people alone. Write to me in a chat of our own."), key=key)
