"""Webhooks on the wire."""

from typing import ClassVar

from rest_framework import serializers

from apps.hooks.events import SUBSCRIBABLE
from apps.hooks.models import HookAttempt, HookDelivery, Webhook
from apps.rest import StrictSerializer

_CHOICES = [(event.value, event.label) for event in SUBSCRIBABLE]
_KNOWN = ", ".join(event.value for event in SUBSCRIBABLE)


class _EventField(serializers.ChoiceField):
    """One of the events; whoever names another is told them all."""

    default_error_messages: ClassVar = {
        # What was sent is not repeated: it may be a secret in the wrong place.
        "invalid_choice": f"There is no such event; there are: {_KNOWN}."
    }


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook; its secret is shown when it is made and never again."""

    owner_id = serializers.IntegerField(read_only=True)
    events = serializers.ListField(child=_EventField(choices=_CHOICES), read_only=True)

    class Meta:
        model = Webhook
        fields = (
            "id",
            "owner_id",
            "url",
            "events",
            "all_projects",
            "is_active",
            "failures_in_a_row",
            "notice",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class NewWebhookSerializer(WebhookSerializer):
    """A new webhook with the secret of its signatures, which is shown this once."""

    secret = serializers.CharField()

    class Meta:
        model = Webhook
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = fields


class WebhookCreateSerializer(StrictSerializer):
    """Where to, and about what."""

    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=_EventField(choices=_CHOICES), allow_empty=False)
    all_projects = serializers.BooleanField(
        required=False, default=False, help_text="Of everybody; for those who run the installation."
    )


class WebhookUpdateSerializer(StrictSerializer):
    """What may be changed of a webhook; switching it on again forgets why it was switched off."""

    url = serializers.CharField(max_length=500, required=False)
    events = serializers.ListField(child=_EventField(choices=_CHOICES), allow_empty=False, required=False)
    is_active = serializers.BooleanField(required=False)


class HookAttemptSerializer(serializers.ModelSerializer[HookAttempt]):
    """One try."""

    class Meta:
        model = HookAttempt
        fields = ("number", "began_at", "seconds", "answer", "error")
        read_only_fields = fields


class HookDeliverySerializer(serializers.ModelSerializer[HookDelivery]):
    """One event that a webhook is owed or was told, with every try."""

    tries = HookAttemptSerializer(many=True, read_only=True)

    class Meta:
        model = HookDelivery
        fields = ("id", "event_id", "event", "body", "status", "next_attempt_at", "created_at", "tries")
        read_only_fields = fields
