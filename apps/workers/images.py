"""Rows of images: which one a worker needs, whether it may start, who waits, what was used when."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils import timezone

from apps.workers.image_builder import ImageBuilder
from apps.workers.image_recipe import Recipe
from apps.workers.image_unit import Builds
from apps.workers.models import ImageStatus, Worker, WorkerImage, WorkerStatus

#: A build that failed is not tried again at once: most failures do not go away by themselves.
_COOL_DOWN: Final = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHands:
    """Everything outside the database that has to do with images."""

    builder: ImageBuilder
    builds: Builds
    build_seconds: float = 1_200
    """Hard deadline of one build."""
    wait_seconds: float = 3_600
    """How long a worker waits for its image, the base image before it included."""
    max_builds: int = 2
    """How many images are built at once."""


def recipe_for(worker: Worker, builder: ImageBuilder) -> Recipe:
    """Return the image that a worker's row asks for.

    Raises:
        UnknownCapability, UnknownAgent: the row asks for what there is not.
        CertificateRefused: an extra certificate is not one.

    """
    return builder.recipe(worker.agent_type, worker.config.get("capabilities") or ())


def request_image(recipe: Recipe, builder: ImageBuilder) -> WorkerImage:
    """Return the row of a recipe's image, made if missing; it is ready if the image is there.

    However many ask at once: there is one row per tag, so there is one build.

    Raises:
        RuntimeUnavailable: nothing is known; ask again.

    """
    now = timezone.now()
    row, _ = WorkerImage.objects.get_or_create(
        tag=recipe.tag,
        defaults={
            "hash": recipe.hash,
            "agent_type": recipe.agent_type,
            "capabilities": list(recipe.capabilities),
        },
    )
    WorkerImage.objects.filter(pk=row.pk).update(last_used_at=now)
    if row.status == ImageStatus.BUILDING:
        return row.reload()
    state = builder.find(recipe)
    if state is not None:
        WorkerImage.try_transition(
            row.pk,
            to=ImageStatus.READY,
            expect=(ImageStatus.PENDING, ImageStatus.FAILED),
            image_id=state.id,
            size_bytes=state.size_bytes,
            failure=None,
            attempts=0,
        )
    elif row.status == ImageStatus.READY or _may_be_tried_again(row):
        again = {"attempts": 0, "failure": None}
        WorkerImage.try_transition(row.pk, to=ImageStatus.PENDING, expect=row.status, **again)
    return row.reload()


def list_waiting(row: WorkerImage) -> list[Worker]:
    """Return the workers that wait for an image, the oldest first."""
    waiting = Worker.objects.filter(image=row, status=WorkerStatus.BUILDING)
    return list(waiting.order_by("created_at", "pk"))


def _may_be_tried_again(row: WorkerImage) -> bool:
    if row.status != ImageStatus.FAILED:
        return False
    return row.finished_at is None or row.finished_at + _COOL_DOWN <= timezone.now()
