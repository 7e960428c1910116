"""REST: what is wrong with servers and services, and what was measured; for operators."""

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.infra import incidents
from apps.infra.models import Incident, ServerMetric
from apps.infra.serializers import IncidentSerializer, ServerMetricSerializer
from apps.rest import IsOperator, user_id


class IncidentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Incident]):
    """What is or was wrong."""

    queryset = Incident.objects.all()
    serializer_class = IncidentSerializer
    filterset_fields = ("status", "kind", "severity", "server_id", "project_id")
    permission_classes = (IsOperator,)
    page_ordering = "-opened_at"

    @extend_schema(request=None, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, **_: str) -> Response:
        """Close an incident; what is still wrong opens a new one."""
        incident = self.get_object()
        incidents.resolve_by_person(incident_id=incident.pk, person_id=user_id(request))
        return Response(IncidentSerializer(incident.reload()).data)


class ServerMetricViewSet(mixins.ListModelMixin, GenericViewSet[ServerMetric]):
    """Measurements of servers, newest first; what could not be measured is null."""

    queryset = ServerMetric.objects.all()
    serializer_class = ServerMetricSerializer
    filterset_fields = ("server_id",)
    permission_classes = (IsOperator,)
    page_ordering = "-measured_at"
