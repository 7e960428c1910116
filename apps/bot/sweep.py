"""Which chats are owed something that may go now."""

from datetime import datetime, timedelta

from django.db.models import Min, Q

from apps.bot import sending_limits as limits
from apps.bot.models import Delivery, DeliveryStatus
from apps.bot.models.delivery import UNSETTLED

#: Sending takes less, unless its process died.
_SENDING_SECONDS = 3


def list_due_chats(*, now: datetime, limit: int) -> list[int]:
    """Return the chats to look at, those that wait longest first; a hint too many does no harm.

    Args:
        now: the time.
        limit: how many at most.

    """
    if limits.is_paused(now=now):
        return []
    is_due = Q(not_before=None) | Q(not_before__lte=now)
    is_ours = Q(status=DeliveryStatus.PENDING) | Q(
        status_changed_at__lt=now - timedelta(seconds=_SENDING_SECONDS)
    )
    is_open = Q(chat__paused_until=None) | Q(chat__paused_until__lte=now)
    due = Delivery.objects.filter(is_due, is_ours, is_open, status__in=UNSETTLED)
    chats = due.values("chat_id").annotate(first=Min("pk")).order_by("first")
    return [row["chat_id"] for row in chats[:limit]]
