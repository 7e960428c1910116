"""Brings a verification's row and the unit that runs its checks together."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from apps import storage
from apps.errors import Invalid, NotFound
from apps.failures import Failure
from apps.workers import (
    outcomes,
    reconciler_building,
    selectors,
    signals,
    verification_judgement,
    verification_unit,
)
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp, FollowUps
from apps.workers.models import Verification, VerificationStatus
from apps.workers.reconciler_end import LOG_TAIL_BYTES
from apps.workers.redaction import redact
from apps.workers.runtime.base import (
    ContainerFileNotFound,
    ContainerFileRefused,
    ContainerNotFound,
    ContainerState,
    Phase,
)
from apps.workers.runtime.ends import LOST
from apps.workers.verification_judgement import Outcome
from worker_image.verify.report import MAX_REPORT_BYTES, REPORT_NAME

MAX_ATTEMPTS: Final = 2
#: Beyond its own deadline, which the runtime enforces, before we end it ourselves.
_OVERTIME_SECONDS: Final = 30
_ALIVE: Final = frozenset({Phase.CREATED, Phase.RUNNING, Phase.PAUSED})
_FINAL: Final = Verification.final_statuses()


def reconcile_verification(*, verification_id: UUID, hands: Hands) -> FollowUps:
    """Take one step for a verification.

    Raises:
        VerificationNotFound: there is none.
        IllegalTransition: somebody else moved it meanwhile.
        RuntimeUnavailable, StorageUnavailable: nothing is known; take the step again later.

    """
    row = selectors.get_verification(verification_id)
    now = timezone.now()
    if row.status in _FINAL:
        return []
    if row.status == VerificationStatus.CANCELING:
        return _conclude(row, hands, now, VerificationStatus.CANCELED)
    if row.status == VerificationStatus.PENDING:
        return _begin(row, hands, now)
    state = hands.runtime.inspect(row.container_name)
    # One that was made but never started belongs to a start that nobody came back from.
    if row.observed_at is None and (state is None or state.phase is Phase.CREATED):
        return _start(row, hands, now)
    if state is None or state.phase is Phase.UNKNOWN:
        return _crash(row, hands, now, "verification_lost", "The checks vanished and nobody recorded how.")
    if state.phase in _ALIVE:
        return _watch(row, hands, now)
    return _judge(row, state, hands, now)


def _begin(row: Verification, hands: Hands, now: datetime) -> FollowUps:
    """Count the attempt before it is made."""
    Verification.transition(
        row.pk,
        to=VerificationStatus.RUNNING,
        expect=VerificationStatus.PENDING,
        attempts=1,
        started_at=now,
        deadline_at=now + timedelta(seconds=hands.limits.verification_seconds),
    )
    signals.announce(signals.verification_changed, verification_id=row.pk)
    return [_again(row)]


def _start(row: Verification, hands: Hands, now: datetime) -> FollowUps:
    if row.deadline_at <= now:
        return _crash(row, hands, now, "verification_not_started", "No place for the checks came in time.")
    ahead = reconciler_building.await_base(hands)
    if isinstance(ahead, Failure):
        return _crash(row, hands, now, ahead.code, ahead.message, retry=False)
    if ahead is not None:
        return ahead
    seconds = hands.limits.verification_seconds
    with tempfile.TemporaryDirectory(prefix="verification-") as directory:
        try:
            bundle = Path(directory) / "bundle"
            storage.copy_to(row.bundle_name, bundle, sha256=row.bundle_sha256)
            spec = verification_unit.container_spec(
                row, bundle, Path(directory), seconds=seconds, package_cache=hands.package_cache
            )
            hands.runtime.start(spec)
        except (Invalid, NotFound, storage.BundleDamaged) as error:
            return _crash(row, hands, now, error.error_code, error.message, retry=error.error_code == LOST)
    Verification.objects.filter(pk=row.pk).update(observed_at=now)
    return []


def _watch(row: Verification, hands: Hands, now: datetime) -> FollowUps:
    Verification.objects.filter(pk=row.pk).update(observed_at=now)
    if now > row.deadline_at + timedelta(seconds=_OVERTIME_SECONDS):
        return _crash(row, hands, now, "verification_timeout", "The checks outlived their deadline.")
    return []


def _judge(row: Verification, state: ContainerState, hands: Hands, now: datetime) -> FollowUps:
    judgement = verification_judgement.judge(
        _read_report(row, hands),
        exit_code=state.exit_code,
        timed_out=state.timed_out,
        base_sha=row.base_sha,
        head_sha=row.head_sha,
        allow_removed_tests=row.allow_removed_tests,
    )
    # Written down before the unit, which is the source of it, is destroyed.
    text = judgement.log_tail or _log(row, hands)
    evidence = judgement.evidence or None
    Verification.objects.filter(pk=row.pk).update(evidence=evidence, log_tail=redact(text))
    if judgement.outcome is Outcome.CRASHED and judgement.failure is not None:
        return _crash(row, hands, now, judgement.failure.code, judgement.failure.message)
    status = VerificationStatus(judgement.outcome.value)
    return _conclude(row, hands, now, status, judgement.failure)


def _read_report(row: Verification, hands: Hands) -> bytes | None:
    try:
        return hands.runtime.fetch(row.container_name, REPORT_NAME, limit_bytes=MAX_REPORT_BYTES)
    except (ContainerNotFound, ContainerFileNotFound, ContainerFileRefused):
        return None


def _log(row: Verification, hands: Hands) -> str:
    try:
        return hands.runtime.logs(row.container_name, tail_bytes=LOG_TAIL_BYTES)
    except ContainerNotFound:
        return ""


def _crash(
    row: Verification, hands: Hands, now: datetime, code: str, message: str, *, retry: bool = True
) -> FollowUps:
    """Try once more after a crash of the platform, under a new name and after the old unit is gone."""
    if not retry or row.attempts >= MAX_ATTEMPTS:
        failure = outcomes.platform_failure(code, message, stage="verification")
        return _conclude(row, hands, now, VerificationStatus.CRASHED, failure)
    hands.runtime.remove(row.container_name)
    Verification.objects.filter(pk=row.pk, attempts=row.attempts).update(
        attempts=row.attempts + 1,
        observed_at=None,
        deadline_at=now + timedelta(seconds=hands.limits.verification_seconds),
    )
    return [_again(row)]


def _conclude(
    row: Verification,
    hands: Hands,
    now: datetime,
    status: VerificationStatus,
    failure: Failure | None = None,
) -> FollowUps:
    hands.runtime.remove(row.container_name)
    Verification.transition(row.pk, to=status, failure=_as_json(failure), removed_at=now, finished_at=now)
    signals.announce(signals.verification_changed, verification_id=row.pk)
    return []


def _as_json(failure: Failure | None) -> dict[str, Any] | None:
    return None if failure is None else failure.as_json()


def _again(row: Verification) -> FollowUp:
    return FollowUp(kind="verification", id=row.pk)
