"""Facts from the apps below become looks at conversations, cards and questions; hints only."""

from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.bot import alarms, chat_tasks, composition
from apps.bot.models import ChatStatus, Conversation
from apps.enqueue import enqueue
from apps.graph.signals import question_changed
from apps.infra.signals import incident_changed, provisioning_ended
from apps.projects.models import Task
from apps.projects.signals import task_changed
from apps.workers import messages
from apps.workers.signals import turn_changed, worker_spoke


def connect() -> None:
    """Connect the receivers."""
    task_changed.connect(on_task, dispatch_uid="bot.task")
    turn_changed.connect(on_turn, dispatch_uid="bot.turn")
    worker_spoke.connect(on_words, dispatch_uid="bot.words")
    question_changed.connect(on_question, dispatch_uid="bot.question")
    incident_changed.connect(on_incident, dispatch_uid="bot.incident")
    provisioning_ended.connect(on_set_up, dispatch_uid="bot.set_up")


def on_task(*, task_id: UUID, **_: Any) -> None:
    """Have the card of a task drawn again, if anybody looks at it."""
    if not composition.is_served():
        return
    reachable = Q(project__owner__chats__status=ChatStatus.ACTIVE) | Q(
        requested_by__chats__status=ChatStatus.ACTIVE
    )
    if Task.objects.filter(reachable, pk=task_id).exists():
        enqueue(chat_tasks.draw_card, task_id=str(task_id))


def on_turn(*, turn_id: UUID, **_: Any) -> None:
    """Lead the conversation on whose turn it is."""
    if not composition.is_served():
        return
    for user_id in Conversation.objects.filter(turn_id=turn_id).values_list("pk", flat=True):
        enqueue(chat_tasks.converse, user_id=user_id)


def on_words(*, message_id: int, **_: Any) -> None:
    """Have a worker's words passed on."""
    if not composition.is_served():
        return
    said = messages.find_message(message_id)
    if said is not None and Conversation.objects.filter(pk=said.owner_id).exists():
        enqueue(chat_tasks.converse, user_id=said.owner_id)


def on_question(*, question_id: UUID, **_: Any) -> None:
    """Have a question shown, or what became of it."""
    if composition.is_served():
        enqueue(chat_tasks.show_question, question_id=str(question_id))


def on_incident(*, incident_id: int, **_: Any) -> None:
    """Tell those who run the installation of an incident, or of its end."""
    alarms.tell_incident(incident_id)


def on_set_up(**_: Any) -> None:
    """Tell those who run the installation of a server that was set up."""
    alarms.tell_set_ups()
