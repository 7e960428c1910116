"""What people say to their Product Owner, written down; the reconciler hands it over."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from apps.bot import attachments, outbox, reach
from apps.bot import presenters as words
from apps.bot.models import Chat, ChatMessage, ChatMessageStatus, Conversation
from apps.bot.talk import Talk
from apps.enqueue import enqueue
from apps.errors import NotFound
from apps.graph.asking import withdraw_questions
from apps.graph.models import Question, QuestionStatus
from apps.projects.models import User
from apps.workers import services as workers
from apps.workers.models import WorkerEvent

#: The name of the Celery task that leads a conversation one step on; ``wake`` is given it.
Wake = Any


def hear(talk: Talk, *, text: str, wake: Wake) -> None:
    """Take a message for the Product Owner; the person sees at once that it was heard.

    Args:
        talk: the update.
        text: the words, which may be none if files came.
        wake: the Celery task that leads the conversation on.

    Raises:
        Denied: the role only lets them look.

    """
    reach.must_change(talk.person)
    message = _write(talk.chat, talk.person, key=talk.key("message"), text=text)
    for refused in attachments.note(message, talk.incoming.files):
        told = _("%(name)s is larger than 20 MB; Telegram does not hand it to me. I go on without it.")
        talk.say(told % {"name": words.bold(refused.file_name or refused.kind)}, part=f"file:{refused.pk}")
    # Whoever goes on talking does not answer with a button any more.
    withdraw_questions(owner_id=talk.person.pk)
    outbox.show_typing(talk.chat)
    rouse(talk.chat, talk.person, wake=wake)


@transaction.atomic
def hear_answer(question_id: UUID, *, wake: Wake) -> None:
    """Hand the answer to a Product Owner's question over as the next thing its person says; once."""
    question = Question.objects.filter(pk=question_id, run=None, status=QuestionStatus.ANSWERED).first()
    key = f"answer:{question_id}"
    if question is None or ChatMessage.objects.filter(idempotency_key=key).exists():
        return
    chat = next(iter(reach.chats_of([question.owner_id])), None)
    if chat is None or chat.user is None:
        return
    _write(chat, chat.user, key=key, text=answer_text(question))
    rouse(chat, chat.user, wake=wake)


def answer_text(question: Question) -> str:
    """Return an answer in the words that the Product Owner reads."""
    return f"Answer to your question {question.text!r}: {question.answer}"


def ask_again(talk: Talk, *, turn_id: str, wake: Wake) -> str:
    """Hand the messages of a turn that ended without an answer over once more."""
    rows = ChatMessage.objects.filter(
        user=talk.person, turn_id=turn_id, status=ChatMessageStatus.FAILED
    ).order_by("pk")
    for row in rows:
        ChatMessage.transition(row.pk, to=ChatMessageStatus.PENDING, turn_id=None, finished_at=None)
    rouse(talk.chat, talk.person, wake=wake)
    return _("Handed over once more.")


def stop(talk: Talk, *, turn_id: str) -> None:
    """End the assistant that works on a turn; what it has begun elsewhere goes on.

    Raises:
        NotFound: nobody works on that turn for this person any more.

    """
    row = Conversation.objects.filter(user=talk.person, turn_id=turn_id).first()
    if row is None or row.worker_id is None:
        raise NotFound()
    workers.cancel_worker(worker_id=row.worker_id)


def rouse(chat: Chat, person: User, *, wake: Wake) -> None:
    """Have the conversation led on, answering in this chat."""
    # What was said before the first word here is not repeated.
    latest = WorkerEvent.objects.aggregate(latest=Max("pk"))["latest"] or 0
    Conversation.objects.get_or_create(user=person, defaults={"last_event_id": latest})
    Conversation.objects.filter(user=person).update(chat=chat)
    # Of many messages at once the first one knocks; whoever opens sees them all.
    waiting = ChatMessage.objects.filter(user=person, status=ChatMessageStatus.PENDING)
    if waiting.count() <= 1:
        enqueue(wake, user_id=person.pk)


def _write(chat: Chat, person: User, *, key: str, text: str) -> ChatMessage:
    message, _is_new = ChatMessage.objects.get_or_create(
        idempotency_key=key, defaults={"chat": chat, "user": person, "text": text}
    )
    return message
