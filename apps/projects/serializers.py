"""Projects, tasks and their events on the wire."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.projects.forge.hosting import CheckStatus
from apps.projects.models import (
    MergeRequest,
    Module,
    Project,
    ProjectSecret,
    Task,
    TaskEvent,
    TaskEventKind,
    TaskStatus,
    TaskType,
)
from apps.rest import StrictSerializer

#: The words of Task on the wire: crashed and failed both show ``failed``; ``failure`` tells them apart.
WIRE_STATUS = {
    TaskStatus.PENDING: "queued",
    TaskStatus.RUNNING: "running",
    TaskStatus.CANCELING: "running",
    TaskStatus.SUCCEEDED: "completed",
    TaskStatus.FAILED: "failed",
    TaskStatus.CRASHED: "failed",
    TaskStatus.CANCELED: "cancelled",
}
WIRE_STATUSES = ("queued", "running", "completed", "failed", "cancelled")


class FailureSerializer(serializers.Serializer[Any]):
    """Why work did not succeed."""

    stage = serializers.CharField()
    kind = serializers.ChoiceField(choices=["product", "platform", "provider", "user"])
    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField()
    details = serializers.DictField()


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project as it is read."""

    owner_id = serializers.IntegerField(read_only=True)
    modules = serializers.ListField(child=serializers.ChoiceField(choices=Module.choices), read_only=True)
    failure = FailureSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Project
        fields = (
            "id",
            "name",
            "slug",
            "description",
            "modules",
            "status",
            "owner_id",
            "repository_url",
            "default_branch",
            "head_sha",
            "template_version",
            "failure",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class ProjectCreateSerializer(StrictSerializer):
    """What it takes to create a project."""

    name = serializers.CharField(
        max_length=120, help_text=_("Shown to people; the repository's name derives from it.")
    )
    description = serializers.CharField(max_length=10_000, required=False, default="", allow_blank=True)
    modules = serializers.ListField(
        child=serializers.ChoiceField(choices=Module.choices), required=False, allow_empty=False
    )


class ProjectUpdateSerializer(StrictSerializer):
    """What may be changed of a project; its slug, modules and owner stay."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)


class SecretSerializer(StrictSerializer):
    """A secret on its way in; values are never given out."""

    key = serializers.RegexField(r"^[A-Z][A-Z0-9_]{0,99}$")
    value = serializers.CharField(write_only=True, max_length=65_536, trim_whitespace=False)


class SecretKeySerializer(serializers.ModelSerializer[ProjectSecret]):
    """That a secret exists, where it came from, and since when only the git host has its value."""

    class Meta:
        model = ProjectSecret
        fields = ("key", "source", "stored_at", "updated_at")
        read_only_fields = fields


class TaskSerializer(serializers.ModelSerializer[Task]):
    """A task as it is read."""

    project_id = serializers.UUIDField(read_only=True)
    follows_id = serializers.UUIDField(read_only=True, allow_null=True)
    retry_of_id = serializers.UUIDField(read_only=True, allow_null=True)
    rollback_to = serializers.UUIDField(read_only=True, allow_null=True)
    status = serializers.SerializerMethodField()
    failure = FailureSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Task
        fields = (
            "id",
            "project_id",
            "type",
            "status",
            "spec",
            "deploy_after",
            "allow_protected",
            "follows_id",
            "retry_of_id",
            "rollback_to",
            "result",
            "failure",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=WIRE_STATUSES))
    def get_status(self, task: Task) -> str:
        """Translate to the words of the API."""
        return WIRE_STATUS[TaskStatus(task.status)]


class TaskCreateSerializer(StrictSerializer):
    """What it takes to create a task; nothing starts until it is started."""

    project_id = serializers.UUIDField()
    type = serializers.ChoiceField(choices=TaskType.choices)
    spec = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    deploy_after = serializers.BooleanField(required=False, default=False)
    allow_protected = serializers.BooleanField(
        required=False,
        default=False,
        help_text=_("The agent may change protected files; only a person may say so."),
    )


class HostChecksSerializer(serializers.Serializer[Any]):
    """What the git host's required checks say about the change's commit."""

    sha = serializers.CharField()
    status = serializers.ChoiceField(choices=[status.value for status in CheckStatus])
    run_id = serializers.IntegerField(allow_null=True)
    attempt = serializers.IntegerField()
    url = serializers.CharField(allow_blank=True)
    job = serializers.CharField(allow_blank=True)
    step = serializers.CharField(allow_blank=True)
    excerpt = serializers.CharField(allow_blank=True)


class TaskEventSerializer(serializers.ModelSerializer[TaskEvent]):
    """One line of a task's timeline."""

    kind = serializers.ChoiceField(choices=TaskEventKind.choices, read_only=True)

    class Meta:
        model = TaskEvent
        fields = ("seq", "kind", "data", "occurred_at")
        read_only_fields = fields


class MergeRequestSerializer(serializers.ModelSerializer[MergeRequest]):
    """A proposed change, with its pull request where the git host has such."""

    rebase_of_id = serializers.UUIDField(read_only=True, allow_null=True)
    checks = HostChecksSerializer(read_only=True, allow_null=True)
    failure = FailureSerializer(read_only=True, allow_null=True)

    class Meta:
        model = MergeRequest
        fields = (
            "id",
            "status",
            "title",
            "branch",
            "base_sha",
            "head_sha",
            "merge_sha",
            "rebase_of_id",
            "pull_request",
            "pull_request_url",
            "checks",
            "failure",
            "created_at",
            "merged_at",
        )
        read_only_fields = fields
