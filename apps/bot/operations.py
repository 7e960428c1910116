"""What operators do with the bot's rows."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.bot import tasks
from apps.bot.models import Delivery, DeliveryStatus, Trouble
from apps.enqueue import enqueue


@transaction.atomic
def send_again(*, delivery_id: int) -> None:
    """Owe a chat once more what could not be delivered.

    Raises:
        IllegalTransition: it was delivered, or is being.
        NotFound: there is no such delivery.

    """
    Delivery.transition(
        delivery_id,
        to=DeliveryStatus.PENDING,
        expect=(DeliveryStatus.FAILED, DeliveryStatus.DROPPED),
        attempts=0,
        failure=None,
        not_before=None,
        deadline_at=timezone.now() + timedelta(seconds=settings.BOT_DELIVERY_DEADLINE_SECONDS),
    )
    enqueue(tasks.deliver, chat_id=Delivery.objects.values_list("chat_id", flat=True).get(pk=delivery_id))


def resolve_trouble(*, trouble_id: int) -> None:
    """Note that a trouble is over; doing so again changes nothing."""
    Trouble.objects.filter(pk=trouble_id, resolved_at=None).update(resolved_at=timezone.now())
