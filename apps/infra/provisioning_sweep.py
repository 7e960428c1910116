"""Attempts that nobody is at work on, and servers that wait for a set-up nobody has asked for."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from apps.infra.models import Provisioning, ProvisioningStatus, Server, ServerStatus

#: A process at work says so every few seconds.
STALE: Final = timedelta(seconds=15)
#: A message may wait behind a long playbook; it is not repeated at every sweep.
ASK_AGAIN: Final = timedelta(seconds=60)
_P = ProvisioningStatus
_GAVE_UP = (_P.FAILED, _P.CRASHED, _P.CANCELED)


def claim_due() -> list[UUID]:
    """Return the attempts that are due or whose process is silent; a waiting one once a minute at most."""
    now = timezone.now()
    silent = Q(status__in=[_P.RUNNING, _P.CANCELING]) & _older(now - STALE)
    waiting = Q(status=_P.PENDING, due_at__lte=now) & _older(now - ASK_AGAIN)
    due = list(Provisioning.objects.filter(silent | waiting).order_by("due_at").values_list("pk", flat=True))
    Provisioning.objects.filter(pk__in=due, status=_P.PENDING).update(heartbeat_at=now)
    return due


def next_waiting() -> UUID | None:
    """Return the attempt that is due longest."""
    waiting = Provisioning.objects.filter(status=_P.PENDING, due_at__lte=timezone.now())
    return waiting.order_by("due_at").values_list("pk", flat=True).first()


def list_forgotten() -> list[tuple[int, str]]:
    """Return the servers that wait for their set-up with no attempt to come, each with a key for asking once.

    One whose last episode was given up is not among them: that is a person's business.
    """
    found = []
    for server in Server.objects.filter(status=ServerStatus.PENDING_SETUP).order_by("pk"):
        newest = server.provisionings.order_by("-created_at").first()
        if newest is None or newest.status in (_P.SUCCEEDED, _P.SUPERSEDED):
            found.append((server.pk, f"retry/{server.pk}/{newest.pk if newest else 0}"))
    return found


def _older(moment: object) -> Q:
    return Q(heartbeat_at=None) | Q(heartbeat_at__lt=moment)
