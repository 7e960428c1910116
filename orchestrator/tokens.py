"""Personal tokens: sign in from a terminal, sign out again."""

from typing import Any, Final

from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.projects import services
from apps.projects.authentication import PersonalTokenAuthentication
from apps.rest import BodyParser, StrictSerializer
from apps.throttles import Throttle

_TRIES_PER_MINUTE: Final = 20


class SignInThrottle(Throttle):
    """Few tries per minute and address: a password is not to be guessed."""

    def principal(self, request: Request) -> str | None:
        """Return the peer's address: a header that anybody can write must not buy more tries."""
        return f"address:{request.META.get('REMOTE_ADDR')}"

    def limit(self) -> int:
        """Return how many tries there are."""
        return _TRIES_PER_MINUTE


class SignInSerializer(StrictSerializer):
    """Who signs in."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1_000, trim_whitespace=False, write_only=True)
    name = serializers.CharField(
        max_length=80, required=False, default="login", help_text="Of the token, to tell it from others."
    )


class TokenSerializer(serializers.Serializer[Any]):
    """A new personal token; it is shown this once and stored hashed."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class SignInView(APIView):
    """The login page of terminals."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (SignInThrottle,)
    parser_classes = (BodyParser,)

    def get_authenticate_header(self, _request: Request) -> str:
        """Make a wrong password a 401; without a challenge it would be a 403, which says something else."""
        return "Token"

    @extend_schema(request=SignInSerializer, responses={201: TokenSerializer}, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a password for a personal token."""
        body = SignInSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        name = body.validated_data.pop("name")
        person: AbstractBaseUser | None = authenticate(request, **body.validated_data)
        if person is None:
            raise AuthenticationFailed("The name or the password is wrong.")
        record, token = services.issue_token(person_id=int(person.pk), name=name)
        return Response({"token": token, "expires_at": record.expiry}, status=status.HTTP_201_CREATED)


class SignOutView(APIView):
    """The way out."""

    authentication_classes = (PersonalTokenAuthentication,)
    any_scope = True

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Revoke the token that this request carries."""
        if request.auth is not None:
            request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
