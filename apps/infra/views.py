"""REST: ports and deployments; servers are in a module of their own."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.infra import services
from apps.infra.models import PortAllocation, ServiceDeployment
from apps.infra.serializers import PortAllocationSerializer, ServiceDeploymentSerializer
from apps.rest import owned


class PortAllocationViewSet(mixins.ListModelMixin, GenericViewSet[PortAllocation]):
    """Ports in use."""

    queryset = PortAllocation.objects.all()
    serializer_class = PortAllocationSerializer
    filterset_fields = ("server_id", "project_id")
    page_ordering = "-allocated_at"

    def get_queryset(self) -> QuerySet[PortAllocation]:
        """Return the ports of the requester's deployments."""
        return owned(self.request, super().get_queryset(), by="owner_id")


class ServiceDeploymentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[ServiceDeployment]
):
    """Releases of projects."""

    queryset = ServiceDeployment.objects.all()
    serializer_class = ServiceDeploymentSerializer
    filterset_fields = ("status", "project_id", "task_id", "server_id", "service_name")
    commands: ClassVar = {"list": "deploy.status", "retrieve": "deploy.status"}

    def get_queryset(self) -> QuerySet[ServiceDeployment]:
        """Return the deployments of the requester's projects."""
        return owned(self.request, super().get_queryset(), by="owner_id")

    @extend_schema(request=None, responses={202: ServiceDeploymentSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, _request: Request, **_: str) -> Response:
        """Stop a live release."""
        deployment = self.get_object()
        services.stop_deployment(deployment_id=deployment.pk)
        answer = ServiceDeploymentSerializer(deployment.reload())
        return Response(answer.data, status=status.HTTP_202_ACCEPTED)
