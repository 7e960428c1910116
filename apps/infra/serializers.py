"""Servers, allocations and deployments on the wire."""

from rest_framework import serializers

from apps.infra.models import Incident, PortAllocation, Server, ServerMetric, ServiceDeployment


class ServerSerializer(serializers.ModelSerializer[Server]):
    """A host that projects are deployed to."""

    class Meta:
        model = Server
        fields = (
            *("id", "name", "kind", "provider", "host", "status", "health", "system"),
            *("cpus", "memory_mb", "disk_mb", "port_range_start", "port_range_end"),
            *("created_at", "provisioned_at", "checked_at"),
        )
        read_only_fields = fields


class PortAllocationSerializer(serializers.ModelSerializer[PortAllocation]):
    """A port that a release holds, or a project for good."""

    deployment_id = serializers.UUIDField(read_only=True, allow_null=True)
    server_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = PortAllocation
        fields = (
            "id",
            "server_id",
            "port",
            "role",
            "project_id",
            "service_name",
            "deployment_id",
            "allocated_at",
        )
        read_only_fields = fields


class ServiceDeploymentSerializer(serializers.ModelSerializer[ServiceDeployment]):
    """One release; its secrets are not part of it."""

    server_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = ServiceDeployment
        fields = (
            "id",
            "project_id",
            "task_id",
            "server_id",
            "service_name",
            "target",
            "kind",
            "status",
            "commit_sha",
            "images",
            "environment_digest",
            "contract_version",
            "rollback_of",
            "url",
            "evidence",
            "log_tail",
            "failure",
            "starts",
            "created_at",
            "installed_at",
            "live_at",
            "finished_at",
        )
        read_only_fields = fields


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """What is or was wrong."""

    server_id = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = Incident
        fields = (
            "id",
            "key",
            "kind",
            "severity",
            "status",
            "server_id",
            "project_id",
            "message",
            "details",
            "count",
            "opened_at",
            "last_seen_at",
            "resolved_at",
            "resolved_by_id",
        )
        read_only_fields = fields


class ServerMetricSerializer(serializers.ModelSerializer[ServerMetric]):
    """One measurement."""

    server_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = ServerMetric
        fields = (
            "id",
            "server_id",
            "measured_at",
            "cpus",
            "load_1m",
            "memory_total_mb",
            "memory_available_mb",
            "disk_total_mb",
            "disk_free_mb",
            "containers_running",
        )
        read_only_fields = fields
