"""What a person asked to have built."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.encryption import EncryptedTextField
from apps.lifecycle import Lifecycle, status_check, transitions


class Module(models.TextChoices):
    """A part of the template that a project may be made of."""

    BACKEND = "backend", _("Backend")
    TELEGRAM = "telegram", _("Telegram bot")
    WORKER = "worker", _("Background worker")
    FRONTEND = "frontend", _("Web pages")


class ForgeName(models.TextChoices):
    """Which git host keeps a project's repository."""

    LOCAL = "local", _("This machine")
    GITHUB = "github", _("GitHub")


class ProjectStatus(models.TextChoices):
    """Where a project is in its life."""

    DRAFT = "draft", _("Draft")  # a row and nothing else
    SCAFFOLDING = "scaffolding", _("Scaffolding")  # the repository is being made
    ACTIVE = "active", _("Active")  # the repository has its first commit
    FAILED = "failed", _("Failed")  # scaffolding said no; asking again tries again
    ARCHIVED = "archived", _("Archived")  # kept, no longer worked on


class Project(Lifecycle):
    """A repository, its modules, settings and owner.

    ``slug`` names everything outside the database and never changes; ``name``
    is free.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            ProjectStatus.DRAFT: [ProjectStatus.SCAFFOLDING, ProjectStatus.ARCHIVED],
            ProjectStatus.SCAFFOLDING: [ProjectStatus.ACTIVE, ProjectStatus.FAILED],
            ProjectStatus.ACTIVE: [ProjectStatus.ARCHIVED],
            ProjectStatus.FAILED: [ProjectStatus.SCAFFOLDING, ProjectStatus.ARCHIVED],
            ProjectStatus.ARCHIVED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=120)
    slug = models.CharField(max_length=40, unique=True, editable=False)
    description = models.TextField(blank=True, max_length=10_000)
    modules = ArrayField(models.CharField(max_length=20, choices=Module.choices))
    status = models.CharField(max_length=20, choices=ProjectStatus.choices, default=ProjectStatus.DRAFT)
    forge = models.CharField(
        max_length=20,
        choices=ForgeName.choices,
        default=ForgeName.LOCAL,
        help_text="The git host it was made on; it never moves.",
    )
    default_branch = models.CharField(max_length=100, default="main")
    repository_id = models.CharField(
        max_length=100, blank=True, help_text="Given by the forge; a name alone proves nothing."
    )
    repository_url = models.CharField(max_length=500, blank=True)
    template_version = models.CharField(max_length=40, blank=True)
    scaffold_sha = models.CharField(max_length=64, blank=True)
    # The head of the default branch as read back from the forge, with what others need of it.
    head_sha = models.CharField(max_length=64, blank=True)
    workspace_name = models.CharField(
        max_length=200, blank=True, help_text="Bundle of the head in the storage."
    )
    workspace_sha256 = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(null=True, blank=True, help_text="project.yaml at the head.")
    scaffold_attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.JSONField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            status_check(ProjectStatus, name="project_status_known"),
            models.CheckConstraint(
                condition=models.Q(forge__in=ForgeName.values), name="project_forge_known"
            ),
            models.CheckConstraint(condition=models.Q(modules__len__gt=0), name="project_has_modules"),
        ]

    def __str__(self) -> str:
        return self.slug


class SecretSource(models.TextChoices):
    """Where a secret's value came from."""

    USER = "user", _("Given by a person")
    GENERATED = "generated", _("Generated once")


class ProjectSecret(models.Model):
    """A value the running project needs; write-only for everybody but the deployment.

    Once a git host with a store of secrets has the value, ours is empty: what
    is left is that it exists, and a keyed digest that tells equal values.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="secrets")
    key = models.CharField(max_length=100)
    value = EncryptedTextField(blank=True)
    source = models.CharField(max_length=20, choices=SecretSource.choices, default=SecretSource.USER)
    format = models.CharField(max_length=40, blank=True, help_text="What the value was checked to be.")
    digest = models.CharField(max_length=64, blank=True, help_text="Keyed; equal for equal values.")
    stored_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the git host has this very value."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "key"], name="project_secret_unique_key"),
            models.UniqueConstraint(
                fields=["digest"],
                name="project_secret_one_project_per_bot",
                condition=models.Q(format="telegram_bot_token"),
            ),
            models.CheckConstraint(
                condition=models.Q(key__regex=r"^[A-Z][A-Z0-9_]*$"), name="project_secret_key_is_a_variable"
            ),
            models.CheckConstraint(
                condition=models.Q(source__in=SecretSource.values), name="project_secret_source_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.key}"
