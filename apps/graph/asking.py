"""Questions that a Product Owner asks its person: rows without a run, answered like those of runs."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.errors import Conflict, Invalid
from apps.graph.models import Question, QuestionStatus
from apps.graph.signals import announce, question_changed
from apps.workers.messages import find_present_turn
from apps.workers.models import Worker
from worker_image.contract import PO_SESSION_TTL_SECONDS, WorkerType

MAX_TEXT_CHARACTERS: Final = 2_000
MAX_OPTIONS: Final = 8
MAX_OPTION_CHARACTERS: Final = 100
MAX_OPEN: Final = 10


class TooManyQuestions(Conflict):
    """The person has not answered what was asked before."""

    code = "too_many_questions"


class NobodyToAsk(Invalid):
    """Only a Product Owner can ask; a developer works alone."""

    code = "nobody_to_ask"


@transaction.atomic
def ask_person(*, worker_id: UUID, text: str, options: Sequence[str] = ()) -> UUID:
    """Ask the person of a Product Owner something; the same words in the same turn are the same question.

    Args:
        worker_id: who asks.
        text: the question, in the person's language.
        options: the answers to choose from; none: any text is one.

    Returns:
        The question's id.

    Raises:
        Invalid: the text or an option is empty or too long, or there are too many options.
        NobodyToAsk: the worker is no Product Owner.
        TooManyQuestions: so many are open that another one would not be read.

    """
    _check(text, options)
    # One at a time, so that two at once cannot both be the last.
    worker = Worker.objects.select_for_update(no_key=True).get(pk=worker_id)
    if worker.worker_type != WorkerType.PO:
        raise NobodyToAsk()
    key = _key(worker_id, text, options)
    known = Question.objects.filter(idempotency_key=key).first()
    if known is not None:
        return known.pk
    still_open = Question.objects.filter(owner_id=worker.owner_id, status=QuestionStatus.OPEN)
    if still_open.count() >= MAX_OPEN:
        raise TooManyQuestions(details={"limit_questions": MAX_OPEN})
    question = Question.objects.create(
        idempotency_key=key,
        worker_id=worker.pk,
        owner_id=worker.owner_id,
        text=text,
        options=list(options),
        deadline_at=timezone.now() + timedelta(seconds=PO_SESSION_TTL_SECONDS),
    )
    announce(question_changed, question_id=question.pk)
    return question.pk


@transaction.atomic
def withdraw_questions(*, owner_id: int) -> int:
    """Take back whatever Product Owners have asked a person; returns how many that were.

    For when the person goes on without answering.
    """
    asked = Question.objects.filter(owner_id=owner_id, status=QuestionStatus.OPEN)
    return sum(_close(pk, QuestionStatus.WITHDRAWN) for pk in asked.values_list("pk", flat=True))


@transaction.atomic
def expire_question(*, question_id: UUID) -> None:
    """Close a question that nobody answered in time; one that is not due or is closed stays as it is."""
    if Question.objects.filter(pk=question_id, run=None, deadline_at__lte=timezone.now()).exists():
        _close(question_id, QuestionStatus.EXPIRED)


def find_overdue() -> list[UUID]:
    """Return the open questions of Product Owners whose time is up; those of runs their runs close."""
    overdue = Question.objects.filter(run=None, status=QuestionStatus.OPEN, deadline_at__lte=timezone.now())
    return list(overdue.values_list("pk", flat=True))


def _close(question_id: UUID, status: QuestionStatus) -> bool:
    is_closed = Question.try_transition(question_id, to=status)
    if is_closed:
        announce(question_changed, question_id=question_id)
    return is_closed


def _check(text: str, options: Sequence[str]) -> None:
    if not text.strip() or len(text) > MAX_TEXT_CHARACTERS or "\0" in text:
        raise Invalid("The question is empty or too long.", details={"text": f"1 to {MAX_TEXT_CHARACTERS}"})
    if len(options) > MAX_OPTIONS or len(set(options)) != len(options):
        raise Invalid("These are too many options, or twice the same.", details={"options": MAX_OPTIONS})
    if any(not option.strip() or len(option) > MAX_OPTION_CHARACTERS for option in options):
        raise Invalid("An option is empty or too long.", details={"options": f"1 to {MAX_OPTION_CHARACTERS}"})


def _key(worker_id: UUID, text: str, options: Sequence[str]) -> str:
    """Name the question by who asks when what, so that a repeated call finds it."""
    words = hashlib.sha256("\0".join([text, *options]).encode()).hexdigest()
    return f"po-{find_present_turn(worker_id) or worker_id}-{words[:40]}"
