"""What happens to an update: exactly once, with all its effects, or not at all.

The row of the update is written in the transaction of everything that it
causes. What Telegram has to be asked is asked before.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import access, alarms, dialogs, outbox, routing, troubles
from apps.bot import presenters as words
from apps.bot.incoming import Incoming, Kind, parse
from apps.bot.models import Chat, ProcessedUpdate
from apps.bot.secret_shapes import looks_secret
from apps.bot.talk import Talk
from apps.errors import OrchestratorError
from apps.telegram import BotResult

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 3
#: Words of /secret; what follows them is a value.
_PROJECT_AND_NAME: Final = 2


def handle(update: Mapping[str, Any]) -> None:
    """Handle an update of Telegram; one that was handled before changes nothing.

    An update that fails three times is given up: the person is told, operators
    see it, and it is remembered by the type and the place of its error.

    Args:
        update: as Telegram sends it.

    Raises:
        DatabaseError: the database does not answer; nothing was done, and the same update is wanted again.
        ValueError: this is no update.

    """
    incoming = parse(update)
    while not _is_finished(incoming.update_id):
        try:
            bots = routing.ask_telegram(incoming)
            with transaction.atomic():
                if _claim(incoming.update_id):
                    _receive(incoming, bots)
                    ProcessedUpdate.objects.filter(pk=incoming.update_id).update(finished_at=timezone.now())
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            _note_failure(incoming, error)


def _is_finished(update_id: int) -> bool:
    return ProcessedUpdate.objects.filter(pk=update_id, finished_at__isnull=False).exists()


def _claim(update_id: int) -> bool:
    """Lock the row of an update; returns whether it is still to be handled."""
    row, _is_new = ProcessedUpdate.objects.select_for_update().get_or_create(pk=update_id)
    return row.finished_at is None


def _receive(incoming: Incoming, bots: Mapping[str, BotResult]) -> None:
    if incoming.kind == Kind.OTHER or not incoming.chat_id:
        return
    if incoming.kind == Kind.LEFT:
        access.part(incoming)
        return
    chat, user = access.meet(incoming)
    talk = Talk(incoming=incoming, chat=chat, user=user, bots=bots)
    with translation.override(chat.language):
        try:
            # A refusal undoes what was begun, and is told.
            with transaction.atomic():
                routing.route(talk)
        except OrchestratorError as error:
            _refuse(talk, error)


def _refuse(talk: Talk, error: OrchestratorError) -> None:
    told = words.refusal(error)
    if talk.incoming.kind == Kind.TAP:
        talk.answer_tap(words.plain(told), is_alert=True)
        return
    if _may_hold_secret(talk.chat, talk.incoming):
        talk.forget_message()  # what did so was undone with the rest
    talk.say(told, part="refusal")


def _note_failure(incoming: Incoming, error: Exception) -> None:
    """Remember the type and the place of an error, never its words: they may quote what was written."""
    frames = traceback.extract_tb(error.__traceback__)
    where = next((frame for frame in reversed(frames) if "/apps/" in frame.filename), frames[-1])
    failure = {"type": type(error).__name__, "where": f"{where.name}:{where.lineno}"}
    logger.error("Update %s failed: %s in %s", incoming.update_id, failure["type"], failure["where"])
    with transaction.atomic():
        if not _claim(incoming.update_id):
            return
        row = ProcessedUpdate.objects.get(pk=incoming.update_id)
        is_last = row.attempts + 1 >= MAX_ATTEMPTS
        ProcessedUpdate.objects.filter(pk=row.pk).update(
            attempts=row.attempts + 1, failure=failure, finished_at=timezone.now() if is_last else None
        )
        if is_last:
            _give_up(incoming, failure)


def _give_up(incoming: Incoming, failure: Mapping[str, str]) -> None:
    chat = Chat.objects.filter(telegram_id=incoming.chat_id).first()
    troubles.report(
        key=f"update:{failure['type']}:{failure['where']}",
        code="update_given_up",
        message=f"An update could not be handled: {failure['type']} in {failure['where']}.",
        chat=chat,
    )
    alarms.tell_troubles()
    if chat is None or not chat.is_reachable:
        return
    _tell_given_up(chat, incoming.update_id)
    if incoming.message_id is not None and _may_hold_secret(chat, incoming):
        outbox.delete(chat, key=f"update:{incoming.update_id}:forget", message_id=incoming.message_id)


@transaction.atomic
def give_up_unread(update_id: int, *, chat_id: int, error: Exception) -> None:
    """Tell whom it concerns that an update was kept and cannot be read any more.

    Args:
        update_id: Telegram's.
        chat_id: Telegram's, of the chat it came from.
        error: why; its words are told to nobody.

    """
    cause = type(error).__name__
    chat = Chat.objects.filter(telegram_id=chat_id).first()
    troubles.report(
        key=f"held:{cause}",
        code="held_update_unreadable",
        message=f"An update that was kept cannot be read ({cause}); was a key taken out of ENCRYPTION_KEYS?",
        chat=chat,
    )
    alarms.tell_troubles()
    if chat is not None and chat.is_reachable:
        _tell_given_up(chat, update_id)


def _tell_given_up(chat: Chat, update_id: int) -> None:
    with translation.override(chat.language):
        text = _("Something went wrong with us, and your message was not handled. An operator can see it.")
        outbox.send_text(chat, text, key=f"update:{update_id}:given_up")


def _may_hold_secret(chat: Chat, incoming: Incoming) -> bool:
    """Whether a message that nobody could take must not stay in its chat."""
    if incoming.kind not in (Kind.MESSAGE, Kind.EDIT):
        return False
    if incoming.command == "secret" and not _is_project_and_name(incoming.argument.split()):
        return True
    dialog = dialogs.find_open(chat)
    return looks_secret(incoming.text) or (dialog is not None and dialog.is_secret)


def _is_project_and_name(given: Sequence[str]) -> bool:
    """Whether no word after the command can be a value that somebody gave with it, or instead of the name."""
    return len(given) <= _PROJECT_AND_NAME and all(map(dialogs.is_name, given[1:]))
