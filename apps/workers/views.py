"""REST: workers, turns, verifications, agent choices and dead letters, as people see them."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.idempotency import idempotent
from apps.rest import BodyParser, IsAllowed, IsOperator, owned
from apps.versions import VersionedMixin, tagged, unchanged
from apps.workers import agent_configs, dead_letters, services
from apps.workers.models import AgentConfig, DeadLetter, Turn, Worker
from apps.workers.serializers import (
    AgentConfigSerializer,
    AgentConfigWriteSerializer,
    DeadLetterSerializer,
    TurnSerializer,
    WorkerLogsSerializer,
    WorkerSerializer,
)


class WorkerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Worker]):
    """Agents at work."""

    queryset = Worker.objects.all()
    serializer_class = WorkerSerializer
    filterset_fields = ("status", "project_id", "task_id", "worker_type", "agent_type")

    def get_queryset(self) -> QuerySet[Worker]:
        """Return the workers that act for the requester."""
        return owned(self.request, super().get_queryset(), by="owner_id", project="project_id")

    @extend_schema(request=None, responses={202: WorkerSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, _request: Request, **_: str) -> Response:
        """Stop a worker; its unfinished turn ends canceled."""
        worker = self.get_object()
        services.cancel_worker(worker_id=worker.pk)
        return Response(WorkerSerializer(worker.reload()).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=WorkerLogsSerializer)
    @action(detail=True, methods=["get"])
    def logs(self, _request: Request, **_: str) -> Response:
        """Return the end of what a worker that has ended printed."""
        return Response({"log_tail": self.get_object().log_tail})


class TurnViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Turn]):
    """Prompts and their results."""

    queryset = Turn.objects.all()
    serializer_class = TurnSerializer
    filterset_fields = ("status", "worker_id", "task_id", "project_id")

    def get_queryset(self) -> QuerySet[Turn]:
        """Return the turns of the requester's workers."""
        return owned(
            self.request, super().get_queryset(), by="worker__owner_id", project="worker__project_id"
        )


class AgentConfigViewSet(mixins.ListModelMixin, VersionedMixin, GenericViewSet[AgentConfig]):
    """Which agent works; operators write, everybody reads."""

    queryset = AgentConfig.objects.all()
    serializer_class = AgentConfigSerializer
    parser_classes = (BodyParser,)
    filterset_fields = ("agent_type", "is_active")

    def get_permissions(self) -> list[IsAllowed]:
        """Let everybody read and only operators write."""
        reading = self.action in {"list", "retrieve"}
        return [IsAllowed() if reading else IsOperator()]

    @extend_schema(request=AgentConfigWriteSerializer, responses={201: AgentConfigSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a choice of agent."""
        body = AgentConfigWriteSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row = agent_configs.create(**body.validated_data)
        return Response(AgentConfigSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AgentConfigWriteSerializer, responses=AgentConfigSerializer)
    def partial_update(self, request: Request, **_: str) -> Response:
        """Change a choice of agent."""
        body = AgentConfigWriteSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        row = self.get_object()
        with unchanged(request, row):
            row = agent_configs.update(config_id=row.pk, **body.validated_data)
        return tagged(row, AgentConfigSerializer(row).data)


class DeadLetterViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[DeadLetter]):
    """Entries nobody could read; for operators."""

    queryset = DeadLetter.objects.all()
    serializer_class = DeadLetterSerializer
    filterset_fields = ("status", "stream", "worker_id")
    permission_classes = (IsOperator,)

    @extend_schema(request=None, responses=DeadLetterSerializer)
    @action(detail=True, methods=["post"])
    def replay(self, _request: Request, **_: str) -> Response:
        """Parse the entry again, as if it had just arrived."""
        letter = self.get_object()
        dead_letters.replay(letter_id=letter.pk)
        return Response(DeadLetterSerializer(letter.reload()).data)

    @extend_schema(request=None, responses=DeadLetterSerializer)
    @action(detail=True, methods=["post"])
    def discard(self, _request: Request, **_: str) -> Response:
        """Set the entry aside for good; its words stay readable."""
        letter = self.get_object()
        dead_letters.discard(letter_id=letter.pk)
        return Response(DeadLetterSerializer(letter.reload()).data)
