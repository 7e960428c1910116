"""Files that people hand to their Product Owner, and that go with a task to its developers.

Their content lies in the shared storage under its digest. A worker is given none of it unasked: it lists what
there is for it and fetches what it needs (``orchestrator attachment``).
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps import storage
from apps.errors import Conflict, Invalid, NotFound
from apps.workers.models import Attachment, Worker
from worker_image.contract import WorkerType

#: What Telegram hands out to a bot at most.
MAX_BYTES: Final = 20 * 1024**2
MAX_PER_TASK: Final = 20
KEPT_DAYS: Final = 30
MAX_NAME_CHARACTERS: Final = 120
_MOST_LISTED: Final = 50
_UNSAFE: Final = re.compile(r"[^\w.\- ]+")


class AttachmentNotFound(NotFound):
    """There is no such file for this one."""

    code = "attachment_not_found"


class AttachmentTooLarge(Invalid):
    """The file is larger than what is handed on."""

    code = "attachment_too_large"


class TooManyAttachments(Conflict):
    """The task has as many files as a task may have."""

    code = "too_many_attachments"


def keep(path: Path, *, owner_id: int, file_name: str, mime_type: str = "") -> UUID:
    """Copy a file into the storage for a person's Product Owner; the same file again is the same row.

    Args:
        path: the file.
        owner_id: whose it is.
        file_name: as the person knows it; whatever no file should be called is taken out.
        mime_type: as the sender says.

    Returns:
        The attachment's id, for which the Product Owner asks.

    Raises:
        AttachmentTooLarge: it is over the limit.
        storage.DiskFull, storage.StorageUnavailable: it could not be stored.

    """
    with storage.file_errors():
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AttachmentTooLarge(details={"size_bytes": size, "limit_bytes": MAX_BYTES})
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    _forget_old(owner_id)
    stored = storage.save_bundle(path, name=storage.attachment_name(sha256=sha256))
    row, _ = Attachment.objects.get_or_create(
        owner_id=owner_id,
        task_id=None,
        sha256=sha256,
        file_name=safe_name(file_name),
        defaults={"mime_type": mime_type[:100], "size_bytes": stored.size, "name": stored.name},
    )
    return row.pk


def safe_name(file_name: str) -> str:
    """Return a name under which a file can be written anywhere; never a path, a hidden file or an option."""
    last = file_name.replace("\\", "/").rpartition("/")[2]
    cleaned = _UNSAFE.sub("_", last).strip(" .-")
    stem, dot, suffix = cleaned.rpartition(".")
    if len(cleaned) <= MAX_NAME_CHARACTERS:
        return cleaned or "file"
    kept = f"{dot}{suffix}" if len(suffix) <= 10 and stem else ""
    return cleaned[: MAX_NAME_CHARACTERS - len(kept)] + kept


@transaction.atomic
def hand_over(*, attachment_id: UUID, owner_id: int, task_id: UUID) -> UUID:
    """Give a file of a person to a task; giving it again changes nothing.

    Whoever calls has made sure that the task is that person's.

    Returns:
        The id under which the task's workers get it.

    Raises:
        AttachmentNotFound: the person has no such file.
        TooManyAttachments: the task has its fill.

    """
    given = Attachment.objects.filter(pk=attachment_id, owner_id=owner_id).first()
    if given is None:
        raise AttachmentNotFound(details={"attachment_id": str(attachment_id)})
    return _copy(given, task_id)


@transaction.atomic
def copy_all(*, from_task_id: UUID, to_task_id: UUID) -> None:
    """Give a task all files of another one."""
    for given in Attachment.objects.filter(task_id=from_task_id).order_by("created_at"):
        _copy(given, to_task_id)


def list_of_task(task_id: UUID) -> Sequence[Attachment]:
    """Return the files that go with a task."""
    return list(Attachment.objects.filter(task_id=task_id).order_by("created_at")[:MAX_PER_TASK])


def for_worker(worker: Worker) -> QuerySet[Attachment]:
    """Return what a worker may read: a Product Owner its person's files, a developer its task's."""
    if worker.worker_type == WorkerType.PO:
        wanted = Q(owner_id=worker.owner_id, task_id=None)
    else:
        wanted = Q(task_id=worker.task_id, task_id__isnull=False)
    return Attachment.objects.filter(wanted).order_by("-created_at")


def list_for(worker: Worker) -> Sequence[Attachment]:
    """Return what a worker may read, the newest first."""
    return list(for_worker(worker)[:_MOST_LISTED])


def find_for(worker: Worker, attachment_id: UUID) -> Attachment:
    """Return one file that a worker may read.

    Raises:
        AttachmentNotFound: there is none of that id for it.

    """
    found = for_worker(worker).filter(pk=attachment_id).first()
    if found is None:
        raise AttachmentNotFound(details={"attachment_id": str(attachment_id)})
    return found


def names_in_use() -> set[str]:
    """Return the names in the storage that rows need."""
    return set(Attachment.objects.values_list("name", flat=True))


def _forget_old(owner_id: int) -> None:
    """Let go of what a person gave long ago; what went with a task stays with it."""
    before = timezone.now() - timedelta(days=KEPT_DAYS)
    Attachment.objects.filter(owner_id=owner_id, task_id=None, created_at__lt=before).delete()


def _copy(given: Attachment, task_id: UUID) -> UUID:
    same = {"sha256": given.sha256, "file_name": given.file_name}
    of_task = Attachment.objects.filter(task_id=task_id)
    known = of_task.filter(owner_id=given.owner_id, **same).first()
    if known is not None:
        return known.pk
    if of_task.count() >= MAX_PER_TASK:
        raise TooManyAttachments(details={"limit_attachments": MAX_PER_TASK})
    row, _ = Attachment.objects.get_or_create(
        owner_id=given.owner_id,
        task_id=task_id,
        **same,
        defaults={"mime_type": given.mime_type, "size_bytes": given.size_bytes, "name": given.name},
    )
    return row.pk
