"""Celery tasks of this app: thin, by id, repeatable."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.conf import settings

from apps.enqueue import advisory_lock, enqueue
from apps.errors import Unavailable
from apps.lifecycle import IllegalTransition
from apps.periodic.recording import Run, recorded
from apps.workers import (
    composition,
    engine,
    image_gc,
    reconciler,
    reconciler_disk,
    reconciler_images,
    reconciler_orphans,
    reconciler_turns,
    reconciler_verifications,
    spares,
    sweep,
)
from apps.workers.followups import FollowUps
from apps.workers.limits import IMAGE_MAX_AGE_DAYS

logger = logging.getLogger(__name__)


@shared_task(name="workers.reconcile_worker")
def reconcile_worker(*, worker_id: str) -> None:
    """Take one step that brings a worker's row and its container together."""
    _step(
        "worker",
        worker_id,
        lambda: reconciler.reconcile_worker(worker_id=UUID(worker_id), hands=composition.get_hands()),
    )


@shared_task(name="workers.reconcile_turn")
def reconcile_turn(*, turn_id: str) -> None:
    """Take one step that brings a turn to its worker, or ends it at its deadline."""
    _step(
        "turn",
        turn_id,
        lambda: reconciler_turns.reconcile_turn(turn_id=UUID(turn_id), hands=composition.get_hands()),
    )


@shared_task(name="workers.reconcile_verification")
def reconcile_verification(*, verification_id: str) -> None:
    """Take one step that brings a verification's row and its unit together."""
    _step(
        "verification",
        verification_id,
        lambda: reconciler_verifications.reconcile_verification(
            verification_id=UUID(verification_id), hands=composition.get_hands()
        ),
    )


@shared_task(name="workers.reconcile_image")
def reconcile_image(*, image_id: str) -> None:
    """Take one step that brings an image's row and its build together."""
    hands = composition.get_image_hands()
    if hands is not None:
        _step(
            "image",
            image_id,
            lambda: reconciler_images.reconcile_image(image_id=UUID(image_id), hands=hands),
        )


@shared_task(name="workers.collect_images")
@recorded("image_gc", pause_seconds=60)
def collect_images(run: Run) -> None:
    """Remove the images that no worker has used for a while."""
    hands = composition.get_image_hands()
    if hands is not None:
        found = image_gc.collect(hands.builder, max_age=timedelta(days=IMAGE_MAX_AGE_DAYS))
        run.count("removed", len(found.removed))


@shared_task(name="periodic.image_gc")
def image_garbage() -> None:
    """Enqueue the collection of images."""
    enqueue(collect_images)


@shared_task(name="workers.remove_orphans")
def remove_orphans() -> None:
    """Remove what no active row owns any more."""
    reconciler_orphans.remove_orphans(hands=composition.get_hands())


@shared_task(name="workers.keep_spares")
def keep_spares() -> None:
    """Have as many containers ready for the next workers as configured."""
    images = composition.get_image_hands()
    if images is None:
        return
    with advisory_lock("spares", settings.WORKERS_INSTALLATION, patience_seconds=0) as obtained:
        if obtained:
            spares.keep_spares(
                engine.get_docker(),
                images,
                wanted=settings.WORKERS_WARM_POOL,
                places=settings.WORKERS_MAX_CONCURRENT,
            )


@shared_task(name="workers.bound_disks")
@recorded("bound_disks", pause_seconds=5)
def bound_disks(run: Run) -> None:
    """Decide the end of what fills the disk."""
    hands = composition.get_hands()
    too_large = reconciler_disk.bound_disks(hands=hands, limit_mb=settings.WORKERS_DISK_MB)
    run.count("too_large", len(too_large))
    _follow(too_large)


@shared_task(name="periodic.bound_disks")
def watch_disks() -> None:
    """Enqueue a look at the disk."""
    enqueue(bound_disks)


@shared_task(name="periodic.sweep_workers")
@recorded("sweep_workers")
def sweep_workers(run: Run) -> None:
    """Enqueue the rows that nobody has looked at lately."""
    with run.item("rows"):
        run.each(sweep.list_due(), lambda due: _follow([due]), name="rows")
    enqueue(remove_orphans)
    enqueue(keep_spares)


def _step(kind: str, row_id: str, take: Callable[[], FollowUps]) -> None:
    with advisory_lock(kind, row_id) as obtained:
        if not obtained:
            return
        try:
            follow_ups = take()
        except IllegalTransition as error:
            logger.info("%s %s was moved by someone else: %s", kind, row_id, error)
            return
        except Unavailable as error:
            # The sweep comes back to it; the row's deadline bounds how often.
            logger.warning("%s %s has to wait: %s", kind, row_id, error)
            return
    _follow(follow_ups)


def _follow(follow_ups: FollowUps) -> None:
    tasks: dict[str, Task[Any, Any]] = {
        "image": reconcile_image,
        "worker": reconcile_worker,
        "turn": reconcile_turn,
        "verification": reconcile_verification,
    }
    for follow_up in follow_ups:
        enqueue(tasks[follow_up.kind], **{f"{follow_up.kind}_id": str(follow_up.id)})
