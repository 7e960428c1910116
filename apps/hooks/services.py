"""The writers of webhooks: they check, write and enqueue."""

import secrets
from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, Invalid, NotFound
from apps.hooks import tasks
from apps.hooks.events import SUBSCRIBABLE, HookEvent, ping_of
from apps.hooks.models import HookDelivery, Webhook

MAX_WEBHOOKS = 20
#: Trials a minute of one webhook: nobody floods a third party through us.
_MAX_PINGS = 5
_URL_CHARACTERS = 500


class WebhookNotFound(NotFound):
    """There is no such webhook."""

    code = "webhook_not_found"


class TooManyWebhooks(Conflict):
    """This person has as many webhooks as one may have."""

    code = "too_many_webhooks"


class WebhookOff(Conflict):
    """The webhook is switched off."""

    code = "webhook_off"


class TooManyPings(Conflict):
    """The webhook was tried a moment ago; wait a minute."""

    code = "too_many_pings"


def create_webhook(
    *, owner_id: int, url: str, events: Collection[str], all_projects: bool = False
) -> tuple[Webhook, str]:
    """Write a webhook; returns it with the secret of its signatures, which is shown once.

    Raises:
        Invalid: ``details`` maps each refused argument to its problem.
        TooManyWebhooks: delete some first.

    """
    _refuse(url=url, events=events)
    if Webhook.objects.filter(owner_id=owner_id).count() >= MAX_WEBHOOKS:
        raise TooManyWebhooks()
    secret = secrets.token_urlsafe(32)
    webhook = Webhook.objects.create(
        owner_id=owner_id, url=url, secret=secret, events=sorted(set(events)), all_projects=all_projects
    )
    return webhook, secret


@transaction.atomic
def update_webhook(
    *,
    webhook_id: UUID,
    url: str | None = None,
    events: Collection[str] | None = None,
    is_active: bool | None = None,
) -> None:
    """Change a webhook; switching it on again forgets why it was switched off.

    Raises:
        Invalid: ``details`` maps each refused argument to its problem.
        WebhookNotFound: there is none of that id.

    """
    webhook = Webhook.objects.select_for_update().filter(pk=webhook_id).first()
    if webhook is None:
        raise WebhookNotFound()
    webhook.url = webhook.url if url is None else url
    webhook.events = webhook.events if events is None else sorted(set(events))
    _refuse(url=webhook.url, events=webhook.events)
    if is_active is not None:
        webhook.is_active = is_active
        webhook.notice, webhook.failures_in_a_row = "", 0
    webhook.save()
    if not webhook.is_active:
        HookDelivery.drop_pending(webhook_id)


def ping(*, webhook_id: UUID) -> HookDelivery:
    """Owe a webhook a trial.

    Raises:
        TooManyPings: it was tried a moment ago.
        WebhookNotFound: there is none of that id.
        WebhookOff: it is switched off.

    """
    webhook = Webhook.objects.filter(pk=webhook_id).first()
    if webhook is None:
        raise WebhookNotFound()
    if not webhook.is_active:
        raise WebhookOff()
    lately = timezone.now() - timedelta(minutes=1)
    if webhook.deliveries.filter(event=HookEvent.PING, created_at__gt=lately).count() >= _MAX_PINGS:
        raise TooManyPings()
    ping_id = f"ping-{uuid4()}"
    delivery = HookDelivery.objects.create(
        webhook=webhook,
        event_id=ping_id,
        event=HookEvent.PING,
        body=ping_of(ping_id, webhook_id=webhook.pk),
        next_attempt_at=timezone.now(),
    )
    enqueue(tasks.deliver, webhook_id=str(webhook.pk))
    return delivery


def _refuse(*, url: str, events: Collection[str]) -> None:
    problems = {}
    if problem := url_problem(url):
        problems["url"] = problem
    if not events or not set(events) <= {event.value for event in SUBSCRIBABLE}:
        problems["events"] = "must be some of " + ", ".join(SUBSCRIBABLE)
    if problems:
        raise Invalid(details=problems)


def url_problem(url: str) -> str | None:
    """Say what is wrong with the form of an address; where it leads is judged at every try."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not an address"
    if len(url) > _URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be at most {_URL_CHARACTERS} printable ASCII characters"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "must begin with https:// and name a host"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must carry neither credentials nor a fragment"
    return None
