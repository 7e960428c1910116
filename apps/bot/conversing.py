"""Leads a person's conversation one step on: hands messages over, passes words on, says how it ended.

One turn at a time; whatever is said meanwhile is joined into the next one. May
be called at any time and any number of times.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import attachments, callbacks, incoming, outbox, po_instructions, prompts
from apps.bot import presenters as words
from apps.bot.models import Action, Chat, ChatFile, ChatMessage, ChatMessageStatus, Conversation, FileStatus
from apps.enqueue import advisory_lock
from apps.errors import OrchestratorError, Unavailable
from apps.failures import Failure, FailureKind
from apps.workers import messages, selectors
from apps.workers import services as workers
from apps.workers.models import TurnStatus, Worker
from apps.workers.selectors import TurnOutcome
from worker_image.contract import WorkerType

logger = logging.getLogger(__name__)

#: A person is told within 30 s that the assistant still works; the sweep may be late.
NOTICE_AFTER: Final = timedelta(seconds=18)
#: Messages in one turn.
MOST_JOINED: Final = 500
#: The parts of a text that was cut come at once.
_PARTS_WITHIN: Final = timedelta(seconds=2)
#: Files taken over in one step.
FILES_AT_ONCE: Final = 3
#: So long somebody's words may find no assistant.
PATIENCE: Final = timedelta(minutes=10)
#: Why a turn was ended that would not end by itself.
_TOO_LONG: Final = frozenset({"timeout", "agent_stalled"})
#: Refusals of the workers that end by themselves.
_PASSING: Final = (workers.WorkerBusy, workers.WorkerGone, Unavailable)


def converse(*, user_id: int, downloads: attachments.Downloads) -> bool:
    """Take the next steps of a person's conversation; whoever is at it already does the work.

    Returns:
        Whether there is more to do at once.

    """
    with advisory_lock("conversation", user_id) as is_held:
        conversation = Conversation.objects.select_related("chat", "user").filter(pk=user_id).first()
        if not is_held or conversation is None or conversation.chat is None:
            return False
        Conversation.objects.filter(pk=user_id).update(observed_at=timezone.now())
        with translation.override(conversation.chat.language):
            _pass_words_on(conversation, conversation.chat)
            turn_id = conversation.turn_id
            if turn_id is None or _settle(conversation, conversation.chat, turn_id):
                return _begin(conversation, conversation.chat, downloads)
    return False


def _pass_words_on(conversation: Conversation, chat: Chat) -> None:
    """Pass on what the person's workers have said since."""
    said = messages.list_messages(after_id=conversation.last_event_id, owner_id=conversation.user_id)
    if not said:
        return
    product_owners = set(
        Worker.objects.filter(pk__in={one.worker_id for one in said}, worker_type=WorkerType.PO).values_list(
            "pk", flat=True
        )
    )
    with transaction.atomic():
        for one in said:
            label = "" if one.worker_id in product_owners else _("The developer says:") + "\n"
            text = prompts.agent_html(one.text)
            if text.strip():
                outbox.send_text(chat, f"{words.text(label)}{text}", key=f"spoke:{one.id}")
        Conversation.objects.filter(pk=conversation.pk).update(
            last_event_id=said[-1].id, heard_at=timezone.now()
        )
    conversation.refresh_from_db(fields=["last_event_id", "heard_at"])


def _settle(conversation: Conversation, chat: Chat, turn_id: UUID) -> bool:
    """End the turn that is over; returns whether it is."""
    outcome = selectors.get_turn_outcome(turn_id=turn_id)
    if not outcome.is_final:
        _say_that_it_works(conversation, chat)
        return False
    with transaction.atomic():
        if outcome.summary.strip() or outcome.failure is None:
            _tell_answer(conversation, chat, outcome)
        else:
            _tell_failure(conversation, chat, outcome)
        _remove_notice(chat, [_notice_key(conversation)])
        Conversation.objects.filter(pk=conversation.pk).update(turn_id=None)
    return True


def _tell_answer(conversation: Conversation, chat: Chat, outcome: TurnOutcome) -> None:
    said = messages.list_messages(turn_id=conversation.turn_id)
    final = outcome.summary.strip()
    _finish_messages(conversation, ChatMessageStatus.ANSWERED)
    if said and final in ("", said[-1].text.strip()):
        return
    text = prompts.agent_html(final) or _("I have nothing to say to that. Ask me in other words.")
    outbox.send_text(chat, text, key=f"turn:{conversation.turn_id}")


def _tell_failure(conversation: Conversation, chat: Chat, outcome: TurnOutcome) -> None:
    failure = outcome.failure
    _finish_messages(conversation, ChatMessageStatus.FAILED, failure=failure)
    code = failure.code if failure else "?"
    if outcome.status == TurnStatus.CANCELED:
        text = _("The assistant was stopped.")
    elif code in _TOO_LONG:
        text = _("The assistant took too long and was stopped.")
    else:
        text = _("The assistant broke off (%(code)s).") % {"code": words.name(code)}
    text += " " + _("What was begun goes on; /tasks shows it. The next message gets a fresh assistant.")
    again = callbacks.button(
        _("Hand my message over once more"),
        chat=chat,
        user=conversation.user,
        action=Action.REPEAT,
        subject=conversation.turn_id,
        key=f"repeat:{conversation.turn_id}",
    )
    outbox.send_text(chat, text, key=f"turn:{conversation.turn_id}", buttons=[[again]])


def _finish_messages(
    conversation: Conversation, status: ChatMessageStatus, *, failure: Failure | None = None
) -> None:
    rows = ChatMessage.objects.filter(turn_id=conversation.turn_id, status=ChatMessageStatus.SENT)
    for pk in rows.values_list("pk", flat=True):
        ChatMessage.try_transition(
            pk, to=status, finished_at=timezone.now(), failure=failure.as_json() if failure else None
        )


def _say_that_it_works(conversation: Conversation, chat: Chat) -> None:
    """Show one message that tells how long it takes; it is edited, not repeated, and removed at the end."""
    heard_at = conversation.heard_at
    now = timezone.now()
    if heard_at is None or now - heard_at < NOTICE_AFTER:
        return
    _show_notice(chat, key=_notice_key(conversation), silence=now - heard_at)


def _show_notice(chat: Chat, *, key: str, silence: timedelta) -> None:
    outbox.show_typing(chat)
    text = _("Still working on it: %(time)s") % {"time": words.duration(_rounded(silence))}
    outbox.show_card(chat, f"… {text}", key=key, is_quiet=chat.is_quiet)


def _rounded(silence: timedelta) -> float:
    """Return seconds that change every fifteen only: more edits would tell nothing more."""
    return max(15.0, silence.total_seconds() // 15 * 15)


def _remove_notice(chat: Chat, keys: Iterable[str]) -> None:
    shown = chat.deliveries.filter(idempotency_key__in=list(keys))
    for key in shown.values_list("idempotency_key", flat=True):
        outbox.delete(chat, key=f"{key}:gone", of=key)


def _notice_key(conversation: Conversation) -> str:
    return f"notice:{conversation.turn_id}"


def _waiting_key(row: ChatMessage) -> str:
    # A message that is handed over once more waits anew.
    return f"notice:message:{row.pk}:{row.status_changed_at.timestamp()}"


def _begin(conversation: Conversation, chat: Chat, downloads: attachments.Downloads) -> bool:
    """Hand over what waits, as one turn; returns whether files are left to be taken over first."""
    pending = ChatMessage.objects.filter(user=conversation.user, status=ChatMessageStatus.PENDING)
    rows = list(pending.order_by("pk")[:MOST_JOINED])
    if not rows or _may_go_on(rows[-1]):
        return False
    waiting = ChatFile.objects.select_related("message").filter(message__in=rows, status=FileStatus.PENDING)
    # A few at a time: a Celery task takes seconds.
    if not all(attachments.fetch(file, downloads) for file in waiting.order_by("pk")[:FILES_AT_ONCE]):
        return False  # the sweep asks Telegram again
    if waiting.exists():
        return True
    rows = list(pending.prefetch_related("files").filter(pk__in=[row.pk for row in rows]).order_by("pk"))
    said = [_said(row) for row in rows]
    count = prompts.how_many(said)
    try:
        _send(conversation, chat, rows[:count], prompts.join(said[:count]))
    except _PASSING as error:
        logger.info("The conversation of %s waits: %s", conversation.pk, error.error_code)
        _wait(chat, rows, error, now=timezone.now())
    except OrchestratorError as error:
        logger.warning("The messages of %s cannot be handed over: %s", conversation.pk, error.error_code)
        _refuse(chat, rows[:count], error)
    return False


def _may_go_on(row: ChatMessage) -> bool:
    """Tell whether a message may be the first part of a text that Telegram cut; the sweep comes back."""
    return incoming.may_go_on(row.text) and row.created_at + _PARTS_WITHIN > timezone.now()


def _said(row: ChatMessage) -> prompts.Said:
    files = sorted(row.files.all(), key=lambda one: one.pk)
    return prompts.Said(
        text=row.text,
        stored=tuple(
            (str(one.attachment_id), one.file_name or one.kind) for one in files if one.attachment_id
        ),
        missing=tuple(one.file_name or one.kind for one in files if not one.attachment_id),
    )


@transaction.atomic
def _send(conversation: Conversation, chat: Chat, rows: list[ChatMessage], prompt: str) -> None:
    # Rows only: worker, turn and messages are written together or not at all.
    attempt = conversation.attempts + 1
    key = f"chat-{conversation.pk}-{attempt}"
    worker_id = workers.request_worker(
        idempotency_key=key,
        request=po_instructions.request_for(conversation.pk, language=chat.language),
    )
    turn_id = workers.send_turn(
        idempotency_key=key,
        worker_id=worker_id,
        prompt=prompt,
        timeout_seconds=settings.WORKERS_TURN_TIMEOUT_SECONDS,
    )
    _remove_notice(chat, map(_waiting_key, rows))
    for row in rows:
        ChatMessage.transition(row.pk, to=ChatMessageStatus.SENT, turn_id=turn_id)
    Conversation.objects.filter(pk=conversation.pk).update(
        attempts=attempt, worker_id=worker_id, turn_id=turn_id, heard_at=timezone.now()
    )


def _wait(chat: Chat, rows: list[ChatMessage], error: OrchestratorError, *, now: datetime) -> None:
    """Give up what has waited for too long; whoever waits for less is told that nothing is forgotten."""
    late = [row for row in rows if row.status_changed_at + PATIENCE <= now]
    if late:
        _refuse(chat, late, error)
        return
    first = min(rows, key=lambda row: row.status_changed_at)
    silence = now - first.status_changed_at
    if silence >= NOTICE_AFTER:
        _show_notice(chat, key=_waiting_key(first), silence=silence)


@transaction.atomic
def _refuse(chat: Chat, rows: list[ChatMessage], error: OrchestratorError) -> None:
    failure = Failure(
        stage="conversation",
        kind=FailureKind.PLATFORM,
        code=error.error_code,
        message=error.message[:500],
        retryable=True,
    )
    _remove_notice(chat, map(_waiting_key, rows))
    for row in rows:
        ChatMessage.try_transition(
            row.pk, to=ChatMessageStatus.FAILED, finished_at=timezone.now(), failure=failure.as_json()
        )
    text = _("Your message could not be handed over. Send it again in a while.")
    key = f"refused:{rows[0].pk}:{rows[0].status_changed_at.timestamp()}"
    outbox.send_text(chat, f"{text}\n{words.refusal(error)}", key=key)
