"""News of one app that another one tells: the bot says that a webhook was switched off."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext as _

from apps.bot import outbox, reach
from apps.bot import presenters as words
from apps.hooks.models import Webhook
from apps.hooks.signals import webhook_switched_off


def connect() -> None:
    """Connect the receivers."""
    webhook_switched_off.connect(tell_owner, dispatch_uid="orchestrator.webhook_switched_off")


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
