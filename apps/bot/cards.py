"""Live cards: one message per task and chat, drawn again while something happens, and a short last word."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import callbacks, outbox, presenters_card, reach
from apps.bot.models import Action, Chat, ChatStatus, LiveCard
from apps.enqueue import advisory_lock
from apps.graph import selectors as graph
from apps.graph.card import Card
from apps.projects import selectors as projects
from apps.projects.models import Task, TaskStatus, TaskType

#: A card of something that is silent shows how long it takes.
REDRAW_AFTER: Final = timedelta(seconds=20)
#: Tasks that ended longer ago get no card any more.
_NEWS_FOR: Final = timedelta(hours=1)
_STOPPABLE: Final = frozenset({"queued", "running"})
_OVER: Final = frozenset({"completed", "failed", "cancelled"})


def draw(*, task_id: UUID) -> None:
    """Show the present state of a task in the chats of its people; repeating it changes nothing."""
    task = projects.find_task(task_id)
    if task is None:
        return
    root = _root_of(task)
    with advisory_lock("card", root.pk) as is_held:
        if is_held and root.reload().status != TaskStatus.PENDING:
            for chat in reach.chats_of_task(root):
                _draw_in(root, chat)


def find_due() -> Sequence[UUID]:
    """Return the tasks whose cards somebody should look at: silent ones, and those that have none."""
    now = timezone.now()
    stale = LiveCard.objects.filter(finished_at=None, chat__status=ChatStatus.ACTIVE).filter(
        Q(drawn_at=None) | Q(drawn_at__lt=now - REDRAW_AFTER)
    )
    reachable = Q(project__owner__chats__status=ChatStatus.ACTIVE) | Q(
        requested_by__chats__status=ChatStatus.ACTIVE
    )
    unshown = Task.objects.filter(reachable, live_cards=None).exclude(
        type=TaskType.DEPLOY, follows__isnull=False, retry_of=None
    )
    recent = Q(status__in=[TaskStatus.RUNNING, TaskStatus.CANCELING]) | Q(finished_at__gt=now - _NEWS_FOR)
    return [
        *stale.values_list("task_id", flat=True).distinct(),
        *unshown.filter(recent).values_list("pk", flat=True).distinct(),
    ]


def key_of(task_id: UUID, chat: Chat) -> str:
    """Return the key of the message that is a task's card in a chat."""
    return f"card:{task_id}:{chat.pk}"


def _root_of(task: Task) -> Task:
    """Return the task whose card shows a task: a deployment is the end of the work that it releases."""
    is_follower = task.type == TaskType.DEPLOY and task.retry_of_id is None
    return task.follows if is_follower and task.follows is not None else task


@transaction.atomic
def _draw_in(task: Task, chat: Chat) -> None:
    row, _is_new = LiveCard.objects.get_or_create(task=task, chat=chat)
    if row.finished_at is not None:
        return
    with translation.override(chat.language):
        shown = graph.get_card(task_id=task.pk, language=chat.language)
        # By the card itself: what is read after it may have ended meanwhile, and the last word would be about
        # a card that still runs.
        is_over = shown.status in _OVER
        task.refresh_from_db(fields=["status"])
        text = presenters_card.card(shown, project=task.project.name)
        buttons = _buttons(task, shown, chat)
        digest = hashlib.sha256(f"{text}{buttons}".encode()).hexdigest()
        if digest != row.digest:
            key = key_of(task.pk, chat)
            outbox.show_card(chat, text, key=key, buttons=buttons, is_quiet=chat.is_quiet)
        if is_over:
            _say_the_last_word(task, shown, chat)
    now = timezone.now()
    LiveCard.objects.filter(pk=row.pk).update(
        digest=digest, drawn_at=now, finished_at=now if is_over else None
    )


def _buttons(task: Task, shown: Card, chat: Chat) -> outbox.Buttons:
    may_stop = chat.user is not None and reach.may_change(chat.user)
    if shown.status not in _STOPPABLE or not may_stop:
        return ()
    working = at_work(task)
    return [
        [
            callbacks.button(
                _("Stop"),
                chat=chat,
                user=chat.user,
                action=Action.STOP,
                subject=working.pk,
                key=f"{key_of(task.pk, chat)}:stop:{working.pk}",
            )
        ]
    ]


def at_work(task: Task) -> Task:
    """Return which of a task and the deployment behind it is at work, or was the last to be."""
    follower = projects.find_follower(task_id=task.pk)
    return follower if follower is not None and task.status == TaskStatus.SUCCEEDED else task


def _say_the_last_word(task: Task, shown: Card, chat: Chat) -> None:
    """Tell how it ended in a message of its own: an edited card makes no sound."""
    last = at_work(task)
    is_mended = Task.objects.filter(follows_id=last.pk, type=TaskType.ENGINEERING).exists()
    text = presenters_card.final_text(shown, project=task.project.name, is_mended=is_mended)
    may_retry = chat.user is not None and reach.may_change(chat.user)
    buttons: list[list[outbox.Button]] = []
    if shown.status in ("failed", "cancelled") and may_retry and not is_mended:
        retry = callbacks.button(
            _("Try again"),
            chat=chat,
            user=chat.user,
            action=Action.RETRY,
            subject=last.pk,
            key=f"{key_of(task.pk, chat)}:retry:{last.pk}",
        )
        buttons.append([retry])
    outbox.send_text(chat, text, key=f"end:{task.pk}:{chat.pk}", buttons=buttons)
