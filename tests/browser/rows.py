"""Rows that a system without a bot and without strangers never gets by itself, for its pages to be looked at.

Run inside the system; whatever the words hold, they are long and of several scripts, as people's are.
"""

import math
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone

from apps.bot.models import Chat, ChatMessage, Delivery, ProcessedUpdate, Trouble
from apps.failures import Failure, FailureKind
from apps.hooks.services import create_webhook, ping
from apps.infra.models import Server, ServerMetric
from apps.projects.services import invite, issue_token
from apps.roles import Role

WORDS = (
    "Собери, пожалуйста, бота, который шутит: build me a bot that tells jokes, every morning at nine. " * 3
)
NAME = "Ада Лавлейс 👩‍💻 عدا"
_FAILURE = Failure(
    stage="sending", kind=FailureKind.USER, code="blocked", message="The person has blocked the bot."
).as_json()


def make(username: str) -> None:
    """Write one row of everything, all of one person.

    Args:
        username: whose.

    """
    person = get_user_model().objects.get(username=username)
    now = timezone.now()
    chat = Chat.objects.create(telegram_id=person.pk + 10**9, user=person, status="active", name=NAME)
    ChatMessage.objects.create(idempotency_key=f"look:{chat.pk}", chat=chat, user=person, text=WORDS)
    owed = Delivery.objects.create(
        chat=chat,
        kind="text",
        idempotency_key=f"look:{chat.pk}",
        status="failed",
        payload={"text": WORDS},
        failure=_FAILURE,
        deadline_at=now,
    )
    Trouble.objects.create(
        key=f"look:{chat.pk}", code="lost", message=WORDS, chat=chat, delivery=owed, last_at=now
    )
    ProcessedUpdate.objects.create(update_id=chat.pk, attempts=3, failure={"type": "ValueError"})
    webhook, _secret = create_webhook(
        owner_id=person.pk,
        url=f"https://hooks.example/{'in/' * 40}",
        events=["task.failed", "task.completed"],
    )
    ping(webhook_id=webhook.pk)
    issue_token(person_id=person.pk, name="a laptop with a rather long name")
    invite(created_by_id=person.pk, role=Role.MEMBER)
    _measure(Server.objects.order_by("name")[0])


def _measure(server: Server) -> None:
    """Write a day of measurements, with an hour in which nobody answered."""
    now = timezone.now()
    ServerMetric.objects.bulk_create(
        ServerMetric(
            server=server,
            measured_at=now - timedelta(minutes=minutes),
            cpus=2,
            load_1m=round(0.9 + 0.6 * math.sin(minutes / 90), 2),
            memory_total_mb=8_000,
            memory_available_mb=round(5_000 - 2 * (1_440 - minutes)),
            disk_total_mb=100_000,
            disk_free_mb=60_000 - 10 * (1_440 - minutes),
        )
        for minutes in range(0, 1_440, 10)
        if not 600 <= minutes < 660
    )
