"""Workers, turns and what surrounds them on the wire."""

from typing import Any

from rest_framework import serializers

from apps.rest import StrictSerializer
from apps.workers.models import AgentConfig, DeadLetter, Snapshot, Turn, Worker
from worker_image.contract import AgentType


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    """A worker as it is read; nothing here lets anybody act as it."""

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
            "heartbeat",
            "heartbeat_at",
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
