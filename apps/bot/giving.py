"""Gives a project a bot of the pool as soon as it needs one, so that nobody has to make one or to be asked.

Where no bot of the pool is free, or Telegram does not vouch for one now, the question stays open: the dialog
takes the person's own token then, and its second button asks the pool again.
"""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from apps.bot import outbox, pool, questions
from apps.bot import presenters as words
from apps.graph import services as graph
from apps.graph.models import Question, QuestionStatus
from apps.projects import services as projects
from apps.projects.models import Project
from apps.telegram import BotResult

#: Others may be faster.
_MOST_TRIED: Final = 3


def give(question_id: UUID) -> bool:
    """Answer a question that asks for a bot by one of the pool; returns whether it did.

    Telegram is asked about each bot before anything is written.
    """
    open_ones = Question.objects.filter(status=QuestionStatus.OPEN).select_related("run__task__project")
    question = open_ones.filter(pk=question_id).first()
    project = questions.project_of(question) if question is not None and question.secret_key else None
    if question is None or project is None:
        return False
    if questions.format_of(project, question.secret_key) != pool.BOT_TOKEN:
        return False
    asked = pool.ask(healthy=_MOST_TRIED)
    return any(bot.is_healthy and _try(question, project, token, bot) for token, bot in asked)


def _try(question: Question, project: Project, token: str, bot: BotResult) -> bool:
    try:
        with transaction.atomic():
            pool.release(token)
            graph.answer_question(question_id=question.pk, text=token)
            _tell(question, project, bot)
    except projects.BotTokenTaken:
        return False  # another project was faster
    except graph.AlreadyAnswered:
        return True  # a person was
    return True


def _tell(question: Question, project: Project, bot: BotResult) -> None:
    for chat in questions.chats_of(question):
        with translation.override(chat.language):
            text = _("%(project)s gets the bot @%(bot)s. To use one of your own: %(command)s") % {
                "project": words.bold(project.name),
                "bot": words.name(bot.username),
                "command": words.code(f"/secret {project.slug} {question.secret_key}"),
            }
            outbox.send_text(chat, text, key=f"pool:{question.pk}:{chat.pk}", is_quiet=True)
