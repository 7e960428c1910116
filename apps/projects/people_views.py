"""REST: people and invitations, for owners; personal tokens, for everybody their own."""

from datetime import timedelta
from functools import partial

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.errors import NotFound
from apps.idempotency import idempotent
from apps.projects import services
from apps.projects.models import Invitation, PersonalToken, User
from apps.projects.people_serializers import (
    InvitationCreateSerializer,
    InvitationSerializer,
    NewInvitationSerializer,
    NewPersonalTokenSerializer,
    PersonalTokenCreateSerializer,
    PersonalTokenSerializer,
    UserSerializer,
    UserUpdateSerializer,
)
from apps.rest import BodyParser, CommandDenied, IsOwner, scopes_of, user_id


class UserViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[User]):
    """People; for owners of the installation."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_fields = ("role", "is_active", "username", "telegram_id")
    parser_classes = (BodyParser,)
    permission_classes = (IsOwner,)
    page_ordering = "-date_joined"

    @extend_schema(request=UserUpdateSerializer, responses=UserSerializer)
    def partial_update(self, request: Request, **_: str) -> Response:
        """Give a person another role, or let them in or out; the last owner stays one."""
        person = self.get_object()
        body = UserUpdateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.change_person(person_id=person.pk, **body.validated_data)
        person.refresh_from_db()
        return Response(UserSerializer(person).data)


class InvitationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Invitation]):
    """Codes by which people come in; for owners of the installation."""

    queryset = Invitation.objects.all()
    serializer_class = InvitationSerializer
    filterset_fields = ("role",)
    parser_classes = (BodyParser,)
    permission_classes = (IsOwner,)

    @extend_schema(request=InvitationCreateSerializer, responses={201: NewInvitationSerializer})
    @partial(idempotent, shown_once="code link")
    def create(self, request: Request) -> Response:
        """Invite somebody; link and code are in this answer and nowhere else."""
        body = InvitationCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        invitation, code = services.invite(
            created_by_id=user_id(request),
            role=body.validated_data["role"],
            ttl=timedelta(hours=body.validated_data["expires_in_hours"]),
            person_id=body.validated_data["person_id"],
        )
        secret = {"code": code, "link": services.link_of(code)}
        answer = {**InvitationSerializer(invitation).data, **secret}
        return Response(answer, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_: str) -> Response:
        """Withdraw an invitation that nobody used."""
        services.withdraw_invitation(invitation_id=self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PersonalTokenViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[PersonalToken]):
    """One's own personal tokens."""

    queryset = PersonalToken.objects.all()
    serializer_class = PersonalTokenSerializer
    parser_classes = (BodyParser,)
    lookup_field = "public_id"
    lookup_url_kwarg = "pk"
    lookup_value_converter = "uuid"
    page_ordering = "-created"
    open_to_viewers = True

    def get_queryset(self) -> QuerySet[PersonalToken]:
        """Return the requester's tokens, an owner's included: those of others are in the admin."""
        return super().get_queryset().filter(user_id=user_id(self.request))

    @extend_schema(request=PersonalTokenCreateSerializer, responses={201: NewPersonalTokenSerializer})
    @partial(idempotent, shown_once="token")
    def create(self, request: Request) -> Response:
        """Make a token; it is in this answer and nowhere else."""
        body = PersonalTokenCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        held = scopes_of(request)
        scopes = body.validated_data.get("scopes") or sorted(held)
        if not held.issuperset(scopes):
            raise CommandDenied("Permission denied: a token cannot make one that may do more than itself.")
        token, words = services.issue_token(
            person_id=user_id(request),
            name=body.validated_data["name"],
            scopes=scopes,
            ttl=timedelta(days=body.validated_data["expires_in_days"]),
        )
        answer = {**PersonalTokenSerializer(token).data, "token": words}
        return Response(answer, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, **_: str) -> Response:
        """Revoke a token: the next request that carries it is refused."""
        public_id = self.get_object().public_id
        if not services.revoke_token(person_id=user_id(request), public_id=public_id):
            raise NotFound()
        return Response(status=status.HTTP_204_NO_CONTENT)
