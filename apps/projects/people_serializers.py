"""People, invitations and personal tokens on the wire."""

from rest_framework import serializers

from apps.projects.models import Invitation, PersonalToken, User
from apps.rest import StrictSerializer
from apps.roles import Role, Scope


class UserSerializer(serializers.ModelSerializer[User]):
    """A person as owners see them."""

    email = serializers.CharField(read_only=True)

    class Meta:
        model = User
        fields = (
            "id",
            "username",
            "first_name",
            "last_name",
            "email",
            "role",
            "is_active",
            "telegram_id",
            "date_joined",
            "last_login",
        )
        read_only_fields = fields


class UserUpdateSerializer(StrictSerializer):
    """What an owner may change of a person."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation; its code is shown when it is made and never again."""

    person_id = serializers.IntegerField(read_only=True, allow_null=True)
    created_by_id = serializers.IntegerField(read_only=True, allow_null=True)
    used_by_id = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = Invitation
        fields = (
            "id",
            "prefix",
            "role",
            "person_id",
            "created_by_id",
            "created_at",
            "expires_at",
            "used_by_id",
            "used_at",
        )
        read_only_fields = fields


class NewInvitationSerializer(InvitationSerializer):
    """A new invitation with what is shown this once: its link, and the code, for ``/start CODE`` in the chat.

    The link is empty while no bot has run.
    """

    code = serializers.CharField()
    link = serializers.CharField(allow_blank=True)

    class Meta:
        model = Invitation
        fields = (*InvitationSerializer.Meta.fields, "code", "link")
        read_only_fields = fields


class InvitationCreateSerializer(StrictSerializer):
    """Who is invited as what, and for how long."""

    role = serializers.ChoiceField(choices=Role.choices, required=False, default=Role.MEMBER.value)
    expires_in_hours = serializers.IntegerField(required=False, default=168, min_value=1, max_value=2_160)
    person_id = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The account that it connects to a chat.",
    )


class PersonalTokenSerializer(serializers.ModelSerializer[PersonalToken]):
    """A personal token as its owner may see it."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    prefix = serializers.CharField(read_only=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), read_only=True)
    created_at = serializers.DateTimeField(source="created", read_only=True)
    expires_at = serializers.DateTimeField(source="expiry", read_only=True, allow_null=True)

    class Meta:
        model = PersonalToken
        fields = ("id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at")
        read_only_fields = fields


class NewPersonalTokenSerializer(PersonalTokenSerializer):
    """A new personal token with its words, which are shown this once."""

    token = serializers.CharField()

    class Meta:
        model = PersonalToken
        fields = (*PersonalTokenSerializer.Meta.fields, "token")
        read_only_fields = fields


class PersonalTokenCreateSerializer(StrictSerializer):
    """What a token is called, is good for, and until when."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        required=False,
        allow_empty=False,
        help_text="Those of the credentials that ask, if none are given.",
    )
    expires_in_days = serializers.IntegerField(required=False, default=90, min_value=1, max_value=366)
