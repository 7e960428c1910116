"""Brings an image's row and its build together, one short step at a time; nothing waits for a build."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from apps.errors import Invalid, NotFound
from apps.failures import Failure
from apps.workers import images, outcomes
from apps.workers.followups import FollowUp, FollowUps
from apps.workers.image_recipe import Recipe
from apps.workers.image_unit import BuildPhase, BuildResult
from apps.workers.images import ImageHands
from apps.workers.models import ImageStatus, WorkerImage
from apps.workers.redaction import redact

MAX_ATTEMPTS: Final = 2
LOG_TAIL_BYTES: Final = 20_000
#: Beyond its own deadline, which the unit's supervisor enforces, before we end a build ourselves.
_OVERTIME: Final = timedelta(seconds=30)


class ImageNotFound(NotFound):
    """There is no such image."""

    code = "image_not_found"


def reconcile_image(*, image_id: UUID, hands: ImageHands) -> FollowUps:
    """Take one step for an image.

    Returns:
        The rows for which a further step is possible at once.

    Raises:
        ImageNotFound: there is none.
        IllegalTransition: somebody else moved it meanwhile.
        RuntimeUnavailable, UnitsUnavailable: nothing is known; take the step again later.

    """
    row = WorkerImage.objects.filter(pk=image_id).first()
    if row is None:
        raise ImageNotFound(details={"image_id": str(image_id)})
    now = timezone.now()
    WorkerImage.objects.filter(pk=row.pk).update(observed_at=now)
    if row.status == ImageStatus.PENDING:
        return _begin(row, hands, now)
    if row.status == ImageStatus.BUILDING:
        return _watch(row, hands, now)
    return _wake_those_who_wait(row)


def _begin(row: WorkerImage, hands: ImageHands, now: datetime) -> FollowUps:
    try:
        recipe = _recipe_of(row, hands)
    except Invalid as error:
        return _fail(row, hands, now, BuildResult(code=error.error_code, message=error.message))
    if recipe.tag != row.tag:
        message = "What the image consists of has changed since it was asked for."
        return _fail(row, hands, now, BuildResult(code="image_superseded", message=message))
    if hands.builder.find(recipe) is not None:
        return _succeed(row, hands, now)
    if recipe.agent_type and (ahead := _base_ahead(row, hands, now)) is not None:
        return ahead
    if WorkerImage.objects.filter(status=ImageStatus.BUILDING).count() >= hands.max_builds:
        return []
    # Counted before it is made.
    WorkerImage.transition(
        row.pk,
        to=ImageStatus.BUILDING,
        expect=ImageStatus.PENDING,
        attempts=row.attempts + 1,
        started_at=now,
        finished_at=None,
        deadline_at=now + timedelta(seconds=hands.build_seconds),
    )
    return [_again(row)]


def _base_ahead(row: WorkerImage, hands: ImageHands, now: datetime) -> FollowUps | None:
    """Return what has to happen to the base image first; None if it is there."""
    base = images.request_image(hands.builder.base(), hands.builder)
    if base.status == ImageStatus.READY:
        return None
    if base.status == ImageStatus.FAILED and base.failure:
        why = Failure.from_json(base.failure)
        said = BuildResult(code=why.code, message=why.message, failed_command=base.failed_command)
        return _fail(row, hands, now, said)
    return [_again(base)] if base.status == ImageStatus.PENDING else []


def _watch(row: WorkerImage, hands: ImageHands, now: datetime) -> FollowUps:
    phase = hands.builds.look(row)
    if phase is None:
        seconds = hands.build_seconds
        hands.builds.start(row, hands.builder.pack(_recipe_of(row, hands)), seconds=seconds)
        return []
    if phase is BuildPhase.RUNNING:
        if row.deadline_at is None or now <= row.deadline_at + _OVERTIME:
            return []
        said = BuildResult(code="image_build_timeout", message="The build outlived its deadline.")
    elif phase is BuildPhase.LOST:
        said = BuildResult(code="image_build_lost", message="The build vanished and nobody recorded how.")
    else:
        said = hands.builds.result(row)
    if not said.code:
        return _succeed(row, hands, now)
    if row.attempts < MAX_ATTEMPTS and said.code != "base_image_missing":
        _keep_log(row, hands, said)
        hands.builds.remove(row)
        WorkerImage.transition(row.pk, to=ImageStatus.PENDING, expect=ImageStatus.BUILDING)
        return [_again(row)]
    return _fail(row, hands, now, said)


def _succeed(row: WorkerImage, hands: ImageHands, now: datetime) -> FollowUps:
    state = hands.builder.store.find(row.tag)
    if state is None:
        message = "The image was built and is not there."
        return _fail(row, hands, now, BuildResult(code="image_build_lost", message=message))
    _keep_log(row, hands, BuildResult(code=""))
    hands.builds.remove(row)
    is_built = row.status == ImageStatus.BUILDING and row.started_at is not None
    WorkerImage.transition(
        row.pk,
        to=ImageStatus.READY,
        image_id=state.id,
        size_bytes=state.size_bytes,
        build_seconds=(now - row.started_at).total_seconds() if is_built and row.started_at else None,
        failure=None,
        finished_at=now,
        last_used_at=row.last_used_at or now,
    )
    return _wake_those_who_wait(row)


def _fail(row: WorkerImage, hands: ImageHands, now: datetime, said: BuildResult) -> FollowUps:
    _keep_log(row, hands, said)
    hands.builds.remove(row)
    failure = outcomes.platform_failure(said.code, said.message, stage="image", retryable=False)
    WorkerImage.transition(row.pk, to=ImageStatus.FAILED, failure=failure.as_json(), finished_at=now)
    return _wake_those_who_wait(row)


def _keep_log(row: WorkerImage, hands: ImageHands, said: BuildResult) -> None:
    """Write down what the build said, before it is forgotten."""
    text = hands.builds.log(row, tail_bytes=LOG_TAIL_BYTES)
    WorkerImage.objects.filter(pk=row.pk).update(
        failed_command=redact(said.failed_command), log_tail=redact(text) or row.log_tail
    )


def _recipe_of(row: WorkerImage, hands: ImageHands) -> Recipe:
    if not row.agent_type:
        return hands.builder.base()
    return hands.builder.recipe(row.agent_type, row.capabilities)


def _wake_those_who_wait(row: WorkerImage) -> FollowUps:
    if row.agent_type:
        return [FollowUp(kind="worker", id=worker.pk) for worker in images.list_waiting(row)]
    pending = WorkerImage.objects.filter(status=ImageStatus.PENDING).exclude(pk=row.pk)
    return [_again(waiting) for waiting in pending]


def _again(row: WorkerImage) -> FollowUp:
    return FollowUp(kind="image", id=row.pk)
