"""A project in which something was merged has its documents read; a hint only."""

from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.documents import indexing, tasks
from apps.enqueue import enqueue
from apps.projects.models import MergeRequestStatus
from apps.projects.signals import merge_request_changed


def connect() -> None:
    """Connect the receiver."""
    merge_request_changed.connect(on_change, dispatch_uid="documents.change")


def on_change(*, merge_request_id: UUID, **_: Any) -> None:
    """Have the documents read, if the change was merged and its project's head was not read yet."""
    merged = {"merge_requests": merge_request_id, "merge_requests__status": MergeRequestStatus.MERGED}
    unread = indexing.projects_to_read(now=timezone.now()).filter(**merged)
    for project_id in unread.values_list("pk", flat=True):
        enqueue(tasks.read_project, project_id=str(project_id))
