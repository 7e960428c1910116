"""Removes images that nobody has used for a while; never one that is referenced, wanted, or a stranger's."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from apps.workers.image_builder import ImageBuilder
from apps.workers.models import ImageStatus, Worker, WorkerImage
from apps.workers.runtime.images import ImageInUse, ImageState

logger = logging.getLogger(__name__)

#: An image without a row may be one whose row is just about to be written.
_UNRECORDED_AGE = timedelta(hours=1)


@dataclass(slots=True)
class Collected:
    """What a collection did."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    freed_bytes: int = 0
    """At most: layers that other images share stay."""


def collect(builder: ImageBuilder, *, max_age: timedelta, dry_run: bool = False) -> Collected:
    """Remove images of this installation that were last used before ``max_age``, and their rows.

    Args:
        builder: knows the images, the prefix, and which are wanted now.
        max_age: since the last use; an image that no row knows is judged by the row it does not have.
        dry_run: only tell.

    Raises:
        RuntimeUnavailable: nothing is known, so nothing is removed.

    """
    now = timezone.now()
    found = Collected()
    states = builder.store.list_owned()
    owned = [(tag, state) for state in states for tag in _ours(state, builder.prefix)]
    # The rows are read after the images: one that is asked for in between is not taken for unused.
    rows = {row.tag: row for row in WorkerImage.objects.all()}
    kept = _referenced() | {builder.base_tag, builder.common_tag}
    for tag, state in owned:
        if tag in kept or not _is_old(rows.get(tag), state, now, max_age):
            found.kept.append(tag)
        elif dry_run or _remove(builder, tag, rows.get(tag)):
            found.removed.append(tag)
            found.freed_bytes += state.size_bytes
        else:
            found.kept.append(tag)
    _collect_nameless(builder, states, found, before=now - _UNRECORDED_AGE, dry_run=dry_run)
    if not dry_run:
        _forget_absent(rows.values(), {tag for tag, _ in owned}, now - max_age)
    return found


def _collect_nameless(
    builder: ImageBuilder,
    states: Iterable[ImageState],
    found: Collected,
    *,
    before: datetime,
    dry_run: bool,
) -> None:
    """Remove what lost its tag to a newer build, or never got one because its build failed."""
    # The next step of a build that runs stands on an image without a tag.
    is_building = WorkerImage.objects.filter(status=ImageStatus.BUILDING).exists()
    referenced = set(_active().exclude(image=None).values_list("image__image_id", flat=True))
    for state in states:
        if state.tags:
            continue
        is_kept = is_building or state.created_at >= before or state.id in referenced
        if not is_kept and (dry_run or _remove(builder, state.id, None)):
            found.removed.append(state.id)
            found.freed_bytes += state.size_bytes
        else:
            found.kept.append(state.id)


def _referenced() -> set[str]:
    """Return the tags of images that an active worker was, or is to be, made from."""
    return set(_active().exclude(image=None).values_list("image__tag", flat=True))


def _ours(state: ImageState, prefix: str) -> list[str]:
    names = (f"{prefix}:", f"{prefix}-base:", f"{prefix}-common:")
    return [tag for tag in state.tags if tag.startswith(names)]


def _is_old(row: WorkerImage | None, state: ImageState, now: datetime, max_age: timedelta) -> bool:
    if row is None:
        # The shared layers never have a row: they are as old as they are.
        is_common = any("-common:" in tag for tag in state.tags)
        return state.created_at < now - (max_age if is_common else _UNRECORDED_AGE)
    if row.status in (ImageStatus.PENDING, ImageStatus.BUILDING):
        return False
    return (row.last_used_at or row.created_at) < now - max_age


def _remove(builder: ImageBuilder, tag: str, row: WorkerImage | None) -> bool:
    """Remove an image unless somebody has asked for it meanwhile; the row first, it is what is asked."""
    if row is not None:
        unused = WorkerImage.objects.filter(pk=row.pk, last_used_at=row.last_used_at, status=row.status)
        if not unused.exclude(workers__in=_active()).delete()[0]:
            return False
    try:
        builder.store.remove(tag)
    except ImageInUse:
        logger.info("Kept image %s: a container or another image was made from it", tag)
        return False
    logger.info("Removed image %s", tag)
    return True


def _active() -> QuerySet[Worker]:
    return Worker.objects.exclude(status__in=Worker.final_statuses())


def _forget_absent(rows: Iterable[WorkerImage], present: set[str], before: datetime) -> None:
    """Delete the rows of images that are gone and that nobody has asked for since."""
    for row in rows:
        if row.tag not in present and row.status in (ImageStatus.READY, ImageStatus.FAILED):
            stale = WorkerImage.objects.filter(pk=row.pk, status=row.status, last_used_at__lt=before)
            stale.exclude(workers__in=_active()).delete()
