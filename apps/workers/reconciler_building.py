"""A worker's way to its place: the oldest first, and through its image where workers are containers."""

from datetime import datetime, timedelta
from typing import Final

from apps.errors import Invalid
from apps.failures import Failure
from apps.workers import images, outcomes, reconciler_queue
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp, FollowUps
from apps.workers.models import ImageStatus, Worker, WorkerImage, WorkerStatus

_LOG_CHARACTERS: Final = 1_500


def claim_place(worker: Worker, hands: Hands) -> bool:
    """Give a pending worker a place if there is one: ``starting``, or ``building`` if its image is not there.

    Raises:
        Invalid: it can never have an image, for example for an unknown capability.
        RuntimeUnavailable: nothing is known; ask again.

    """
    places = hands.limits.max_concurrent
    if hands.images is None:
        return reconciler_queue.claim_place(worker, places=places, seconds=hands.limits.spawn_seconds)
    if not reconciler_queue.has_place(worker, places=places):
        return False
    builder = hands.images.builder
    image = images.request_image(images.recipe_for(worker, builder), builder)
    is_ready = image.status == ImageStatus.READY
    return reconciler_queue.claim_place(
        worker,
        places=places,
        seconds=hands.limits.spawn_seconds if is_ready else hands.images.wait_seconds,
        to=WorkerStatus.STARTING if is_ready else WorkerStatus.BUILDING,
        image=image,
    )


def watch(worker: Worker, hands: Hands, now: datetime) -> FollowUps | Failure:
    """Take a step for a worker that waits for its image; a failure says that it waits in vain."""
    Worker.objects.filter(pk=worker.pk).update(observed_at=now)
    if hands.images is None:
        message = "Workers are processes now, and this one waits for an image."
        return outcomes.platform_failure("image_not_wanted", message)
    image = worker.image
    if image is None:
        # Its row was collected: it begins anew.
        try:
            recipe = images.recipe_for(worker, hands.images.builder)
        except Invalid as error:
            return outcomes.platform_failure(error.error_code, error.message, retryable=False)
        image = images.request_image(recipe, hands.images.builder)
        Worker.objects.filter(pk=worker.pk).update(image=image)
    if image.status == ImageStatus.READY:
        return _go_on(worker, hands, now)
    if image.status == ImageStatus.FAILED:
        return why(image)
    if worker.deadline_at <= now:
        return outcomes.platform_failure("image_timeout", "The worker's image was not ready in time.")
    return [FollowUp(kind="image", id=image.pk)]


def await_base(hands: Hands) -> FollowUps | Failure | None:
    """Return what has to happen before containers without an image of their own may start; None: nothing.

    Raises:
        RuntimeUnavailable: nothing is known; ask again.

    """
    if hands.images is None:
        return None
    builder = hands.images.builder
    base = images.request_image(builder.base(), builder)
    if base.status == ImageStatus.READY:
        return None
    return why(base) if base.status == ImageStatus.FAILED else [FollowUp(kind="image", id=base.pk)]


def why(image: WorkerImage) -> Failure:
    """Return why a worker cannot have its image, with the command that failed and what it said."""
    failure = Failure.from_json(image.failure or {})
    command = f" The command that failed: {image.failed_command}" if image.failed_command else ""
    details: dict[str, object] = {
        "image": image.tag,
        "failed_command": image.failed_command,
        "log_tail": image.log_tail[-_LOG_CHARACTERS:],
    }
    return outcomes.platform_failure(
        failure.code,
        f"{failure.message}{command}",
        stage="image",
        retryable=failure.code == "image_superseded",
        details=details,
    )


def _go_on(worker: Worker, hands: Hands, now: datetime) -> FollowUps:
    """Start the clock of the container's start: it did not run while the image was built."""
    Worker.transition(
        worker.pk,
        to=WorkerStatus.STARTING,
        expect=WorkerStatus.BUILDING,
        image_seconds=max(0.0, (now - worker.status_changed_at).total_seconds()),
        # Not looked at yet, as far as its container is concerned.
        observed_at=None,
        deadline_at=now + timedelta(seconds=hands.limits.spawn_seconds),
    )
    return [FollowUp(kind="worker", id=worker.pk)]
