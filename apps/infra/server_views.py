"""REST: servers, their set-ups, and taking them out."""

from typing import ClassVar
from uuid import UUID, uuid4

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.idempotency import idempotent
from apps.infra import decommissioning, provisioning, reinstalling
from apps.infra.models import Provisioning, ProvisioningKind, Server
from apps.infra.provisioning_serializers import (
    LossesSerializer,
    ProvisioningSerializer,
    ProvisionSerializer,
    ReinstallSerializer,
)
from apps.infra.reinstalling import Confirmation
from apps.infra.serializers import ServerSerializer
from apps.rest import BodyParser, IsAllowed, IsOperator, user_id


class ServerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Server]):
    """Hosts; everybody may see which there are, operators have them set up."""

    queryset = Server.objects.defer("admin_password")
    serializer_class = ServerSerializer
    parser_classes = (BodyParser,)
    filterset_fields = ("status", "kind", "name", "provider", "health")
    commands: ClassVar = {"list": "infra.servers", "retrieve": "infra.servers"}

    def get_permissions(self) -> list[IsAllowed]:
        """Let everybody read and only operators act."""
        reading = self.action in {"list", "retrieve"}
        return [IsAllowed() if reading else IsOperator()]

    @extend_schema(request=ProvisionSerializer, responses={202: ProvisioningSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def provision(self, request: Request, **_: str) -> Response:
        """Ask for a server to be set up; nothing on it is erased."""
        body = ProvisionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        provisioning_id = provisioning.request_provisioning(
            idempotency_key=f"api/{uuid4()}",
            server_id=self.get_object().pk,
            user_id=user_id(request),
            replace=body.validated_data["replace"],
        )
        return _attempt(provisioning_id)

    @extend_schema(request=None, responses={202: ProvisioningSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def recover(self, request: Request, **_: str) -> Response:
        """Ask that a server which was set up is put right: access, Docker, firewall, what runs on it."""
        provisioning_id = provisioning.request_provisioning(
            idempotency_key=f"api/{uuid4()}",
            server_id=self.get_object().pk,
            user_id=user_id(request),
            kind=ProvisioningKind.RECOVERY,
        )
        return _attempt(provisioning_id)

    @extend_schema(responses=LossesSerializer)
    @action(detail=True, methods=["get"])
    def reinstall(self, _request: Request, **_: str) -> Response:
        """Tell what is lost when a server is erased, and why it may not be at present."""
        losses = reinstalling.describe(self.get_object().pk)
        return Response(LossesSerializer(losses.as_json()).data)

    @extend_schema(request=ReinstallSerializer, responses={202: ProvisioningSerializer})
    @reinstall.mapping.post
    @idempotent
    def begin_reinstall(self, request: Request, **_: str) -> Response:
        """Have a server erased and set up anew; all that is on it is lost.

        What is said here counts for a quarter of an hour, and only for the machine that it was said of.
        """
        body = ReinstallSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        provisioning_id = reinstalling.request_reinstall(
            idempotency_key=f"api/{uuid4()}",
            server_id=self.get_object().pk,
            person_id=user_id(request),
            confirmation=Confirmation(
                name=said["name"], projects=[str(pk) for pk in said["projects"]], system=said["system"]
            ),
        )
        return _attempt(provisioning_id)

    @extend_schema(request=None, responses={202: ProvisioningSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_: str) -> Response:
        """Ask that a server's set-up ends."""
        return _attempt(provisioning.cancel_provisioning(server_id=self.get_object().pk))

    @extend_schema(request=None, responses=ServerSerializer)
    @action(detail=True, methods=["post"])
    def maintenance(self, _request: Request, **_: str) -> Response:
        """Take a server out: nothing more is deployed to it."""
        server = self.get_object()
        provisioning.begin_maintenance(server_id=server.pk)
        return Response(ServerSerializer(server.reload()).data)

    @extend_schema(request=None, responses={200: ServerSerializer})
    @maintenance.mapping.delete
    def end_maintenance(self, _request: Request, **_: str) -> Response:
        """Bring a server back."""
        server = self.get_object()
        provisioning.end_maintenance(server_id=server.pk)
        return Response(ServerSerializer(server.reload()).data)

    @extend_schema(request=None, responses={200: ServerSerializer})
    @action(detail=True, methods=["post"])
    def decommission(self, _request: Request, **_: str) -> Response:
        """Give a server up for good: its releases count as ended, its projects can go to another one."""
        server = self.get_object()
        decommissioning.decommission(server_id=server.pk)
        return Response(ServerSerializer(server.reload()).data)


class ProvisioningViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Provisioning]):
    """Attempts to set servers up, as operators see them."""

    queryset = Provisioning.objects.all()
    serializer_class = ProvisioningSerializer
    permission_classes = (IsOperator,)
    filterset_fields = ("server_id", "kind", "status", "episode")


def _attempt(provisioning_id: UUID) -> Response:
    row = Provisioning.objects.get(pk=provisioning_id)
    return Response(ProvisioningSerializer(row).data, status=status.HTTP_202_ACCEPTED)
