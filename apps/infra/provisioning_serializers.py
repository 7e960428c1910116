"""Set-ups on the wire."""

from typing import Any

from rest_framework import serializers

from apps.infra.models import Provisioning
from apps.rest import StrictSerializer


class ProvisioningSerializer(serializers.ModelSerializer[Provisioning]):
    """One attempt to set a server up."""

    server_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Provisioning
        fields = (
            *("id", "server_id", "kind", "episode", "attempt", "status", "current_task", "recap", "failure"),
            *("force_reinstall", "authorization_expires_at", "reinstall_begun_at", "reinstalled_at"),
            *("log_tail", "created_at", "due_at", "started_at", "heartbeat_at", "finished_at"),
        )
        read_only_fields = fields


class ProvisionSerializer(serializers.Serializer[None]):
    """How a set-up is asked for."""

    replace = serializers.BooleanField(
        default=False, help_text="Let an unfinished set-up count no more, and begin anew."
    )


class LostProjectSerializer(serializers.Serializer[dict[str, Any]]):
    """A project that has something on a server."""

    id = serializers.UUIDField()
    slug = serializers.CharField()


class LossesSerializer(serializers.Serializer[dict[str, Any]]):
    """What is lost when a server is erased, and what has to be said for it."""

    server_id = serializers.IntegerField()
    name = serializers.CharField(help_text="To be repeated by whoever says that it may be erased.")
    host = serializers.CharField()
    provider = serializers.CharField()
    provider_id = serializers.CharField()
    provider_name = serializers.CharField()
    projects = LostProjectSerializer(many=True)
    lost = serializers.ListField(child=serializers.CharField())
    refusal = serializers.CharField(help_text="Why it may not be erased at present; empty: it may.")


class ReinstallSerializer(StrictSerializer):
    """What a person says who wants a server erased and set up anew."""

    name = serializers.CharField(max_length=60, help_text="The server's name, typed.")
    projects = serializers.ListField(
        child=serializers.UUIDField(), help_text="Every project that has something on it, and no other."
    )
    system = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=200,
        help_text="By the provider's name; empty: the one that it has.",
    )
