"""News of one app that another one tells: the bot says what went wrong, and what was switched off."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import outbox, reach
from apps.bot import presenters as words
from apps.hooks.models import Webhook
from apps.hooks.signals import webhook_switched_off
from apps.infra.models import Incident, IncidentSeverity, IncidentStatus
from apps.infra.signals import incident_changed


def connect() -> None:
    """Connect the receivers."""
    webhook_switched_off.connect(tell_owner, dispatch_uid="orchestrator.webhook_switched_off")
    incident_changed.connect(tell_operators, dispatch_uid="orchestrator.incident_changed")


def tell_operators(*, incident_id: int, **_words: Any) -> None:
    """Tell those who run the installation that something is wrong, once; without a sound if it can wait."""
    untold = Incident.objects.filter(pk=incident_id, status=IncidentStatus.OPEN, notified_at=None)
    incident = untold.first()
    if incident is None:
        return
    for chat in reach.operator_chats():
        with translation.override(chat.language):
            head = words.bold(str(incident.get_severity_display()))
            told = words.lines(f"{head}: {words.name(incident.message, 500)}", words.code("/incidents"))
        is_quiet = incident.severity != IncidentSeverity.CRITICAL
        outbox.send_text(chat, told, key=f"incident:{incident.pk}:{chat.pk}", is_quiet=is_quiet)
    untold.update(notified_at=timezone.now())


def tell_owner(*, webhook_id: UUID, **_words: Any) -> None:
    """Tell a person that a webhook of theirs is told nothing any more; written with the switch itself.

    Of its address only the host is named: the rest may be a secret.
    """
    webhook = Webhook.objects.get(pk=webhook_id)
    for chat in reach.chats_of([webhook.owner_id]):
        with translation.override(chat.language):
            told = _("The webhook to %(host)s was switched off: %(why)s") % {
                "host": words.bold(urlsplit(webhook.url).hostname or ""),
                "why": words.name(webhook.notice, 300),
            }
            again = _("When its receiver works again, switch it on: %(command)s") % {
                "command": words.code(f'PATCH /api/webhooks/{webhook.pk}/ {{"is_active": true}}')
            }
            key = f"webhook_off:{webhook.pk}:{webhook.updated_at.timestamp():.0f}:{chat.pk}"
            outbox.send_text(chat, words.lines(told, again), key=key)
