"""What the buttons do: the tap is checked, acts once, and is answered."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext as _

from apps.bot import (
    access,
    auditing,
    callbacks,
    cards,
    chat_tasks,
    conversation,
    dialogs,
    lists,
    operating,
    questions,
    reach,
    secret_lists,
)
from apps.bot.models import Action, Callback, Chat
from apps.bot.talk import Talk
from apps.graph import rollbacks
from apps.graph import services as graph
from apps.infra.models import ServiceDeployment
from apps.workers import services as workers


def act(talk: Talk) -> None:
    """Do what the tapped button is for.

    Raises:
        OrchestratorError: the button is not good (any more), or its deed is refused.

    """
    row = callbacks.claim(talk.incoming.data, chat=talk.chat, user=talk.user)
    if talk.user is None and row.action != Action.ASK_ACCESS:
        raise callbacks.TapForeign()
    said = _DEEDS[Action(row.action)](talk, row)
    callbacks.use(row)
    auditing.note_tap(talk, row)
    talk.answer_tap(said)


def _ask(talk: Talk, _row: Callback) -> str:
    return access.ask(talk)


def _approve(talk: Talk, row: Callback) -> str:
    return access.decide(talk, chat_id=row.subject, role=row.argument)


def _deny(talk: Talk, row: Callback) -> str:
    return access.decide(talk, chat_id=row.subject, role="")


def _choose(talk: Talk, row: Callback) -> str:
    return questions.choose(talk, question_id=row.subject, index=row.argument)


def _write(talk: Talk, row: Callback) -> str:
    dialogs.ask_answer(talk, question_id=UUID(row.subject))
    return ""


def _secret(talk: Talk, row: Callback) -> str:
    dialogs.begin(talk, subject=row.subject, argument=row.argument)
    return ""


def _pool(talk: Talk, row: Callback) -> str:
    return dialogs.take_from_pool(talk, subject=row.subject, argument=row.argument)


def _cancel_dialog(talk: Talk, _row: Callback) -> str:
    return _("Fine: your next message is for the assistant again.") if dialogs.close(talk.chat) else ""


def _stop(talk: Talk, row: Callback) -> str:
    task = reach.task_to_change(talk.person, row.subject)
    # The list may be older than the end of the engineering: what goes on now is what is meant.
    graph.cancel_task(task_id=cards.at_work(task).pk)
    return _("Stopping.")


def _retry(talk: Talk, row: Callback) -> str:
    task = reach.task_to_change(talk.person, row.subject)
    graph.retry_task(task_id=task.pk, requested_by_id=talk.person.pk)
    return _("Begun once more; a new card shows it.")


def _rollback(talk: Talk, row: Callback) -> str:
    project = reach.project_to_change(talk.person, row.subject)
    # The release that the person was shown, whatever is live by now.
    wanted = ServiceDeployment.objects.filter(project_id=project.pk, pk=row.argument).first()
    if wanted is None:
        raise rollbacks.NothingToRollBackTo()
    rollbacks.request_rollback(deployment_id=wanted.pk, requested_by_id=talk.person.pk)
    return _("Rolling back; a card shows it.")


def _stop_assistant(talk: Talk, row: Callback) -> str:
    conversation.stop(talk, turn_id=row.subject)
    return _("Stopping.")


def _repeat(talk: Talk, row: Callback) -> str:
    return conversation.ask_again(talk, turn_id=row.subject, wake=chat_tasks.converse)


def _kill(talk: Talk, row: Callback) -> str:
    reach.must_operate(talk.person)
    workers.cancel_worker(worker_id=UUID(row.subject))
    return _("Stopping.")


def _provision(talk: Talk, row: Callback) -> str:
    return operating.begin_provisioning(talk, server_id=int(row.subject))


def _language(talk: Talk, row: Callback) -> str:
    return choose_language(talk, row.argument)


def choose_language(talk: Talk, language: str) -> str:
    """Speak another language in a chat from now on."""
    Chat.objects.filter(pk=talk.chat.pk).update(language=language)
    with translation.override(language):
        return _("From now on I speak English.")


def _sound(talk: Talk, row: Callback) -> str:
    return choose_sound(talk, is_quiet=row.argument == "results")


def choose_sound(talk: Talk, *, is_quiet: bool) -> str:
    """Let everything make a sound in a chat from now on, or results, answers and questions only."""
    Chat.objects.filter(pk=talk.chat.pk).update(is_quiet=is_quiet)
    return _("Only results make a sound now.") if is_quiet else _("Everything makes a sound now.")


def _project(talk: Talk, row: Callback) -> str:
    lists.show_project(talk, reach.visible_projects(talk.person).filter(pk=row.subject).first())
    return ""


def _secrets(talk: Talk, row: Callback) -> str:
    secret_lists.show_secrets(talk, reach.project_to_change(talk.person, row.subject))
    return ""


_DEEDS: Final[Mapping[Action, Callable[[Talk, Callback], str]]] = {
    Action.ASK_ACCESS: _ask,
    Action.APPROVE: _approve,
    Action.DENY: _deny,
    Action.ANSWER: _choose,
    Action.ANSWER_FREELY: _write,
    Action.SECRET: _secret,
    Action.POOL: _pool,
    Action.CANCEL_DIALOG: _cancel_dialog,
    Action.STOP: _stop,
    Action.RETRY: _retry,
    Action.ROLLBACK: _rollback,
    Action.STOP_ASSISTANT: _stop_assistant,
    Action.REPEAT: _repeat,
    Action.KILL: _kill,
    Action.PROVISION: _provision,
    Action.LANGUAGE: _language,
    Action.SOUND: _sound,
    Action.PROJECT: _project,
    Action.SECRETS: _secrets,
}
