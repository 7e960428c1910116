"""Workers, turns and what surrounds them on the wire."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.rest import StrictSerializer
from apps.workers import liveness_words, queueing
from apps.workers.models import (
    AgentConfig,
    Attachment,
    DeadLetter,
    Ground,
    Snapshot,
    Turn,
    Verdict,
    Worker,
    WorkerStatus,
)
from worker_image.contract import AgentType


class QueuePlaceSerializer(serializers.Serializer[Any]):
    """Where a worker stands that waits for a place."""

    position = serializers.IntegerField(help_text="1 is the next to start.")
    length = serializers.IntegerField()
    running = serializers.IntegerField()
    limit = serializers.IntegerField()
    estimated_wait_seconds = serializers.FloatField(allow_null=True)
    deadline_at = serializers.DateTimeField()


class WorkerLimitsSerializer(serializers.Serializer[Any]):
    """What a worker may use."""

    memory_mb = serializers.IntegerField()
    cpus = serializers.FloatField()


class LivenessSerializer(serializers.Serializer[Worker]):
    """How alive a worker is, and what that rests on."""

    verdict = serializers.ChoiceField(choices=Verdict.choices)
    ground = serializers.ChoiceField(choices=Ground.choices, source="verdict_ground")
    detail = serializers.CharField(source="verdict_detail")
    since = serializers.DateTimeField(source="verdict_since")
    text = serializers.SerializerMethodField()

    def get_text(self, worker: Worker) -> str:
        """Say it in the language of the request."""
        return liveness_words.text_of(worker)


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    """A worker as it is read; nothing here lets anybody act as it."""

    liveness = LivenessSerializer(source="*", read_only=True)

    @cached_property
    def _line(self) -> dict[UUID, queueing.QueuePlace]:
        """Read the line, once for all workers of an answer."""
        return queueing.line()

    queue = serializers.SerializerMethodField()
    limits = serializers.SerializerMethodField()

    @extend_schema_field(QueuePlaceSerializer(allow_null=True))
    def get_queue(self, worker: Worker) -> dict[str, Any] | None:
        """Return its place in the line."""
        if worker.status != WorkerStatus.PENDING:
            return None
        place = self._line.get(worker.pk)
        return None if place is None else dict(QueuePlaceSerializer(place).data)

    @extend_schema_field(WorkerLimitsSerializer())
    def get_limits(self, worker: Worker) -> dict[str, Any]:
        """Return what it may use."""
        return {
            "memory_mb": worker.config.get("memory_mb") or settings.WORKERS_MEMORY_MB,
            "cpus": worker.config.get("cpus") or settings.WORKERS_CPUS,
        }

    class Meta:
        model = Worker
        fields = (
            "id",
            "worker_type",
            "agent_type",
            "status",
            "owner_id",
            "project_id",
            "task_id",
            "run_id",
            "allowed_commands",
            "base_sha",
            "branch",
            "queue",
            "limits",
            "liveness",
            "heartbeat",
            "heartbeat_at",
            "paused_at",
            "work_lost_since",
            "exit_code",
            "oom_killed",
            "failure",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class TurnSerializer(serializers.ModelSerializer[Turn]):
    """A turn as it is read."""

    worker_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Turn
        fields = (
            "id",
            "worker_id",
            "number",
            "task_id",
            "project_id",
            "status",
            "timeout_seconds",
            "commit_sha",
            "branch",
            "summary",
            "exit_code",
            "usage",
            "failure",
            "created_at",
            "sent_at",
            "finished_at",
            "duration_ms",
        )
        read_only_fields = fields


class WorkerLogsSerializer(serializers.Serializer[Any]):
    """The end of a worker's output."""

    log_tail = serializers.CharField()


class AgentConfigSerializer(serializers.ModelSerializer[AgentConfig]):
    """A choice of agent."""

    class Meta:
        model = AgentConfig
        fields = (
            "id",
            "name",
            "agent_type",
            "model",
            "system_prompt",
            "memory_mb",
            "cpus",
            "is_active",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class AgentConfigWriteSerializer(StrictSerializer):
    """What an operator may set of a choice of agent."""

    name = serializers.CharField(max_length=60)
    agent_type = serializers.ChoiceField(choices=[agent.value for agent in AgentType])
    model = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    system_prompt = serializers.CharField(max_length=50_000, required=False, default="", allow_blank=True)
    memory_mb = serializers.IntegerField(required=False, allow_null=True, min_value=64, max_value=1_048_576)
    cpus = serializers.FloatField(required=False, allow_null=True, min_value=0.05, max_value=1_024)
    is_active = serializers.BooleanField(required=False, default=True)


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    """An entry that could not be read."""

    class Meta:
        model = DeadLetter
        fields = ("id", "worker_id", "stream", "entry_id", "payload", "reason", "status", "created_at")
        read_only_fields = fields


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    """A bundle that was taken in."""

    class Meta:
        model = Snapshot
        fields = ("id", "name", "sha256")
        read_only_fields = fields


class WorkerMessageSerializer(StrictSerializer):
    """What a worker says to its person."""

    message = serializers.CharField(max_length=20_000)


class WorkerMessageAcceptedSerializer(serializers.Serializer[Any]):
    """That the words were kept."""

    id = serializers.IntegerField()


class AttachmentSerializer(serializers.ModelSerializer[Attachment]):
    """A file that a worker may fetch."""

    class Meta:
        model = Attachment
        fields = ("id", "file_name", "mime_type", "size_bytes", "sha256", "created_at")
        read_only_fields = fields
