"""Tells those who run the installation what went wrong, and what of it is over: once to each.

Rows are the truth: what was not told yet is found by ``sweep_chats``, whatever became of a signal.
"""

from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.bot import outbox, reach, troubles
from apps.bot import presenters as words
from apps.bot.models import Trouble
from apps.infra.models import (
    Incident,
    IncidentSeverity,
    IncidentStatus,
    Provisioning,
    ProvisioningKind,
    ProvisioningStatus,
)

#: An older trouble is no news; /incidents and the admin show it.
_NEWS_FOR: Final = timedelta(days=1)
_MOST: Final = 20
_INCIDENT, _TROUBLE, _SET_UP = "incident:", "trouble:", "set-up:"
_UNTOLD = Q(status=IncidentStatus.OPEN, notified_at=None)
#: Only what was told of is worth the word that it is over.
_UNTOLD_END = Q(status=IncidentStatus.RESOLVED, notified_at__lt=F("resolved_at"))


def tell() -> int:
    """Tell what nobody was told yet; returns how much that was."""
    ids = Incident.objects.filter(_UNTOLD | _UNTOLD_END).order_by("pk").values_list("pk", flat=True)
    return sum(tell_incident(pk) for pk in ids[:_MOST]) + tell_troubles() + tell_set_ups()


@transaction.atomic
def tell_incident(incident_id: int) -> bool:
    """Tell of an incident that it began, or that it is over; returns whether there was something to tell."""
    rows = Incident.objects.select_for_update(of=("self",)).filter(_UNTOLD | _UNTOLD_END, pk=incident_id)
    incident = rows.first()
    if incident is None:
        return False
    is_over = incident.status == IncidentStatus.RESOLVED
    is_quiet = is_over or incident.severity != IncidentSeverity.CRITICAL
    for chat in reach.operator_chats():
        with translation.override(chat.language):
            head = _("Over") if is_over else str(incident.get_severity_display())
            said = f"{words.bold(head)}: {words.name(incident.message, 500)}"
            key = f"{_INCIDENT}{incident.pk}:{'over:' if is_over else ''}{chat.pk}"
            outbox.send_text(chat, words.lines(said, "/incidents"), key=key, is_quiet=is_quiet)
    Incident.objects.filter(pk=incident.pk).update(notified_at=timezone.now())
    return True


@transaction.atomic
def tell_troubles() -> int:
    """Tell of the bot's own troubles that nobody was told yet; returns how many they were."""
    open_ones = Trouble.objects.select_for_update(of=("self",)).select_related("delivery")
    rows = list(
        open_ones.filter(resolved_at=None, notified_at=None, created_at__gt=timezone.now() - _NEWS_FOR)
        # A bot whose token is refused can tell nobody of it.
        .exclude(key=troubles.TOKEN_TROUBLE)
        .order_by("pk")[:_MOST]
    )
    for trouble in rows:
        if not _is_about_alarm(trouble):
            _tell_trouble(trouble)
    Trouble.objects.filter(pk__in=[row.pk for row in rows]).update(notified_at=timezone.now())
    return len(rows)


@transaction.atomic
def tell_set_ups() -> int:
    """Tell of the servers that were set up and of which nobody was told yet; returns how many they were.

    What failed is an incident.
    """
    ended = Provisioning.objects.select_for_update(of=("self",)).select_related("server")
    rows = list(
        ended.filter(
            status=ProvisioningStatus.SUCCEEDED,
            notified_at=None,
            finished_at__gt=timezone.now() - _NEWS_FOR,
        ).order_by("finished_at")[:_MOST]
    )
    for row in rows:
        for chat in reach.operator_chats():
            with translation.override(chat.language):
                said = _words_of(row) % {"server": words.name(row.server.name, 60)}
                outbox.send_text(chat, said, key=f"{_SET_UP}{row.pk}:{chat.pk}", is_quiet=True)
    Provisioning.objects.filter(pk__in=[row.pk for row in rows]).update(notified_at=timezone.now())
    return len(rows)


def _words_of(row: Provisioning) -> str:
    if row.kind == ProvisioningKind.RECOVERY:
        return _("The server %(server)s was put right.")
    return _("The server %(server)s is set up and can be deployed to.")


def _is_about_alarm(trouble: Trouble) -> bool:
    # An alarm that could not be delivered must not become the next one.
    alarms = (_INCIDENT, _TROUBLE, _SET_UP)
    return trouble.delivery is not None and trouble.delivery.idempotency_key.startswith(alarms)


def _tell_trouble(trouble: Trouble) -> None:
    for chat in reach.operator_chats():
        with translation.override(chat.language):
            said = _("The bot has a trouble: %(message)s") % {"message": words.name(trouble.message, 500)}
            outbox.send_text(chat, words.lines(said, "/incidents"), key=f"{_TROUBLE}{trouble.pk}:{chat.pk}")
