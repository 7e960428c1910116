"""Writes a project's secrets; values are never returned and never logged."""

from typing import Final
from uuid import UUID

from django.db import transaction

from apps.errors import Invalid
from apps.projects import validation
from apps.projects.models import ProjectSecret
from apps.projects.services.projects import lock_project

MAX_SECRETS: Final = 100


def set_secret(*, project_id: UUID, key: str, value: str) -> None:
    """Store a value that the running project needs, or replace it.

    Raises:
        Invalid: ``details`` maps ``key`` or ``value`` to its problem, never to the value.
        NotFound: there is no such project.

    """
    validation.refuse(validation.secret_problems(key=key, value=value))
    with transaction.atomic():
        lock_project(project_id)
        others = ProjectSecret.objects.filter(project_id=project_id).exclude(key=key)
        if others.count() >= MAX_SECRETS:
            raise Invalid(details={"key": f"a project has at most {MAX_SECRETS} secrets"})
        ProjectSecret.objects.update_or_create(project_id=project_id, key=key, defaults={"value": value})


def delete_secret(*, project_id: UUID, key: str) -> None:
    """Delete a secret; an absent one is success."""
    ProjectSecret.objects.filter(project_id=project_id, key=key).delete()
