"""What the bot tells of others: a webhook that was switched off, never its whole address; an incident."""

from typing import Any

import pytest
from django.utils import timezone

from apps.bot.models import Delivery
from apps.hooks import delivering, services
from apps.hooks.models import HookDelivery, Webhook
from apps.hooks.outbound import Answer
from tests.apps.bot.updates import Phone, somebody

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def gone(_url: str, **_: Any) -> Answer:
    return Answer(status=410, seconds=0.1)


def broken(_url: str, **_: Any) -> Answer:
    return Answer(status=500, seconds=0.1)


def webhook_of(phone: Phone) -> Webhook:
    owner = phone.chat.user
    assert owner is not None
    url = "https://hooks.example/in/a-secret-path"
    return services.create_webhook(owner_id=owner.pk, url=url, events=["task.failed"])[0]


def test_owner_hears_of_it_once_without_the_address():
    phone, _ = somebody()
    webhook = webhook_of(phone)
    for _number in range(2):
        services.ping(webhook_id=webhook.pk)

    delivering.deliver_round(webhook_id=webhook.pk, send=gone)
    delivering.deliver_round(webhook_id=webhook.pk, send=gone)

    (told,) = phone.texts()
    assert "hooks.example" in told
    assert "410" in told
    assert "a-secret-path" not in told


def test_owner_hears_why_after_repeated_failures():
    phone, _ = somebody()
    webhook = webhook_of(phone)
    Webhook.objects.update(failures_in_a_row=delivering.MAX_FAILURES - 1)
    services.ping(webhook_id=webhook.pk)
    HookDelivery.objects.update(attempts=delivering.MAX_ATTEMPTS - 1, next_attempt_at=timezone.now())

    delivering.deliver_round(webhook_id=webhook.pk, send=broken)

    assert "HTTP 500" in phone.last()


def test_single_failure_is_told_to_nobody():
    phone, _ = somebody()
    webhook = webhook_of(phone)
    services.ping(webhook_id=webhook.pk)

    delivering.deliver_round(webhook_id=webhook.pk, send=broken)

    assert not Delivery.objects.exists()


def test_it_is_told_in_the_persons_language():
    phone, _ = somebody()
    type(phone.chat).objects.update(language="ru")
    webhook = webhook_of(phone)
    services.ping(webhook_id=webhook.pk)

    delivering.deliver_round(webhook_id=webhook.pk, send=gone)

    assert "отключён" in phone.last()
