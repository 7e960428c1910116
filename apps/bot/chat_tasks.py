"""The Celery tasks of conversations, cards and questions: thin, by id, repeatable."""

import logging
from uuid import UUID

from celery import shared_task

from apps.bot import alarms, cards, composition, conversation, conversing, giving, questions, tidying
from apps.bot.telegram import TelegramError
from apps.enqueue import enqueue
from apps.periodic.recording import Run, recorded
from apps.projects.services import people

logger = logging.getLogger(__name__)


class _Telegram:
    """Our bot at Telegram; the connection is made by the first file."""

    def fetch_file(self, file_id: str, *, max_bytes: int) -> bytes:
        return composition.get_client().fetch_file(file_id, max_bytes=max_bytes)


@shared_task(name="bot.converse")
def converse(*, user_id: int) -> None:
    """Lead a person's conversation on."""
    if conversing.converse(user_id=user_id, downloads=_Telegram()):
        enqueue(converse, user_id=user_id)


@shared_task(name="bot.draw_card")
def draw_card(*, task_id: str) -> None:
    """Show how far a task is."""
    cards.draw(task_id=UUID(task_id))


@shared_task(name="bot.show_question")
def show_question(*, question_id: str) -> None:
    """Answer a question from the pool or show it, or what became of it, and hand its answer over."""
    giving.give(UUID(question_id))
    questions.show(UUID(question_id))
    conversation.hear_answer(UUID(question_id), wake=converse)


@shared_task(name="bot.note_name")
def note_name() -> None:
    """Ask Telegram what our bot is called, so that invitations lead to it; silence leaves the known name."""
    if not composition.has_bot():
        return
    try:
        identity = composition.get_client().get_me()
    except TelegramError as error:
        logger.warning("Telegram does not tell what the bot is called: %s", error.error_code)
        return
    if identity.username:
        people.note_bot(identity.username)


@shared_task(name="periodic.sweep_chats")
@recorded("sweep_chats")
def sweep_chats(run: Run) -> None:
    """Enqueue whatever a lost message left behind, and what is silent for too long."""
    if not composition.has_bot():
        return
    run.each(tidying.find_conversations(), lambda pk: enqueue(converse, user_id=pk), name="conversations")
    run.each(cards.find_due(), lambda pk: enqueue(draw_card, task_id=str(pk)), name="cards")
    questions = tidying.find_questions()
    run.each(questions, lambda pk: enqueue(show_question, question_id=str(pk)), name="questions")
    with run.item("alarms"):
        alarms.tell()


@shared_task(name="periodic.tidy_chats")
@recorded("tidy_chats", pause_seconds=60)
def tidy_chats(run: Run) -> None:
    """Delete what cannot be used any more; learn the bot's name if it has changed."""
    with run.item("old rows"):
        tidying.forget_old()
    with run.item("name"):
        note_name()
