"""Ends what fills the disk, measured from outside: whoever runs inside may hide his files or his count."""

import logging
from uuid import UUID

from django.utils import timezone

from apps.workers import consumer_apply, outcomes, signals
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp, FollowUps
from apps.workers.models import Verification, VerificationStatus
from apps.workers.reconciler_orphans import VERIFICATION_NAME, WORKER_NAME

logger = logging.getLogger(__name__)


def bound_disks(*, hands: Hands, limit_mb: int) -> FollowUps:
    """Decide the end of every worker and verification that takes too much.

    Args:
        hands: what is measured.
        limit_mb: MiB that the files of one container may take.

    Returns:
        The rows for which a step is possible at once.

    Raises:
        RuntimeUnavailable: nothing is known.

    """
    follow_ups: FollowUps = []
    for name, used in hands.runtime.disk_use().items():
        if (used_mb := used // 2**20) <= limit_mb:
            continue
        logger.warning("Container %s takes %s MiB of the disk", name, used_mb)
        if match := WORKER_NAME.fullmatch(name):
            if consumer_apply.stop(UUID(match[1]), outcomes.disk_full(used_mb, limit_mb=limit_mb)):
                follow_ups.append(FollowUp(kind="worker", id=UUID(match[1])))
        elif match := VERIFICATION_NAME.fullmatch(name):
            _end_checks(UUID(match[1]), name, hands, used_mb=used_mb, limit_mb=limit_mb)
    return follow_ups


def _end_checks(row_id: UUID, name: str, hands: Hands, *, used_mb: int, limit_mb: int) -> None:
    """Fail checks of this very attempt; the outcome is written first, because only its winner may remove."""
    row = Verification.objects.filter(pk=row_id).first()
    if row is None or row.container_name != name:
        return
    failure = outcomes.disk_full(used_mb, limit_mb=limit_mb, stage="verification")
    now = timezone.now()
    ending = {"failure": failure.as_json(), "removed_at": now, "finished_at": now}
    if Verification.try_transition(
        row_id, to=VerificationStatus.FAILED, expect=VerificationStatus.RUNNING, **ending
    ):
        hands.runtime.remove(name)
        signals.announce(signals.verification_changed, verification_id=row_id)
