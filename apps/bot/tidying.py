"""Which rows of the chats deserve a look, and which are of no use any more."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import BigIntegerField, CharField, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils import timezone

from apps.bot.models import (
    Callback,
    Chat,
    ChatMessage,
    ChatMessageStatus,
    ChatStatus,
    Conversation,
    Delivery,
    DeliveryKind,
    Dialog,
    HeldUpdate,
    ProcessedUpdate,
)
from apps.graph.models import Question, QuestionStatus

_UNFINISHED: Final = (ChatMessageStatus.PENDING, ChatMessageStatus.SENT)
#: Telegram repeats an update for a day at most.
_UPDATES_FOR: Final = timedelta(days=7)
_CALLBACKS_FOR: Final = timedelta(days=30)
_DIALOGS_FOR: Final = timedelta(hours=2)
_FLEETING_FOR: Final = timedelta(days=1)
_ANSWERED_FOR: Final = timedelta(hours=1)
_MOST_QUESTIONS: Final = 200


def find_conversations() -> Sequence[int]:
    """Return whose conversation has a turn under way, or words that nobody has read."""
    waiting = ChatMessage.objects.filter(user=OuterRef("pk"), status__in=_UNFINISHED)
    rows = Conversation.objects.filter(Q(turn_id__isnull=False) | Exists(waiting))
    return list(rows.values_list("pk", flat=True))


def find_questions() -> Sequence[UUID]:
    """Return the open questions that nobody was shown, and answers that nobody has handed over."""
    return [*_unshown(), *_unheard()]


def _unshown() -> Sequence[UUID]:
    owner = Coalesce("owner_id", "run__task__project__owner_id", output_field=BigIntegerField())
    rows = Question.objects.filter(status=QuestionStatus.OPEN).annotate(asked_id=owner)
    chats = dict(_chats().values_list("user_id", "pk"))
    asked = {
        f"question:{pk}:{chats[person]}": pk
        for pk, person in rows.values_list("pk", "asked_id")[:_MOST_QUESTIONS]
        if person in chats
    }
    shown = Delivery.objects.filter(idempotency_key__in=asked).values_list("idempotency_key", flat=True)
    return [asked[key] for key in asked.keys() - set(shown)]


def _unheard() -> Sequence[UUID]:
    key = Concat(Value("answer:"), Cast(OuterRef("pk"), CharField()))
    heard = ChatMessage.objects.filter(idempotency_key=key)
    rows = Question.objects.filter(
        ~Exists(heard),
        run=None,
        status=QuestionStatus.ANSWERED,
        answered_at__gt=timezone.now() - _ANSWERED_FOR,
        owner_id__in=_chats().values("user_id"),
    )
    return list(rows.values_list("pk", flat=True))


def _chats() -> QuerySet[Chat]:
    return Chat.objects.filter(status=ChatStatus.ACTIVE, user__isnull=False, user__is_active=True)


def forget_old() -> None:
    """Delete what cannot be used any more."""
    now = timezone.now()
    ProcessedUpdate.objects.filter(created_at__lt=now - _UPDATES_FOR).delete()
    Callback.objects.filter(expires_at__lt=now - _CALLBACKS_FOR).delete()
    Dialog.objects.filter(expires_at__lt=now - _DIALOGS_FOR).delete()
    HeldUpdate.objects.filter(created_at__lt=now - _UPDATES_FOR).delete()
    # Of the moment; what was said stays, so that it is not said again.
    fleeting = Delivery.objects.filter(kind__in=[DeliveryKind.ACTION, DeliveryKind.CALLBACK_ANSWER])
    fleeting.filter(created_at__lt=now - _FLEETING_FOR).delete()
