"""A project whose head has moved has its documents read; a hint only."""

from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.documents import indexing, tasks
from apps.enqueue import enqueue
from apps.projects.signals import project_changed


def connect() -> None:
    """Connect the receiver."""
    project_changed.connect(on_project, dispatch_uid="documents.project")


def on_project(*, project_id: UUID, **_: Any) -> None:
    """Have the documents read, if the project has a head that was not read yet."""
    if indexing.projects_to_read(now=timezone.now()).filter(pk=project_id).exists():
        enqueue(tasks.read_project, project_id=str(project_id))
