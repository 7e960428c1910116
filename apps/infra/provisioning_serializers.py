"""Set-ups on the wire."""

from rest_framework import serializers

from apps.infra.models import Provisioning


class ProvisioningSerializer(serializers.ModelSerializer[Provisioning]):
    """One attempt to set a server up."""

    server_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Provisioning
        fields = (
            *("id", "server_id", "episode", "attempt", "status", "current_task", "recap", "failure"),
            *("log_tail", "created_at", "due_at", "started_at", "heartbeat_at", "finished_at"),
        )
        read_only_fields = fields


class ProvisionSerializer(serializers.Serializer[None]):
    """How a set-up is asked for."""

    replace = serializers.BooleanField(
        default=False, help_text="Let an unfinished set-up count no more, and begin anew."
    )
