"""REST: what one may do with a task, and the runs and verifications behind it."""

from typing import ClassVar

from django.db.models import QuerySet
from django.utils.translation import get_language
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from apps.graph import rollbacks, selectors, services
from apps.graph.models import Run
from apps.graph.serializers import (
    AttachSerializer,
    CardSerializer,
    RunDetailSerializer,
    RunSerializer,
    VerificationSerializer,
)
from apps.idempotency import idempotent
from apps.infra.models import ServiceDeployment
from apps.infra.serializers import ServiceDeploymentSerializer
from apps.projects.models import Project, Task
from apps.projects.selectors import get_task
from apps.projects.serializers import TaskSerializer
from apps.rest import BodyParser, owned, require_command, user_id
from apps.workers.models import Verification
from apps.workers.serializers import AttachmentSerializer


class TaskActionViewSet(GenericViewSet[Task]):
    """Begin, stop and watch the work on a task."""

    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    parser_classes = (BodyParser,)
    commands: ClassVar = {
        "start": ("engineering.start", "deploy.start"),
        "cancel": "task.cancel",
        "retry": "task.retry",
        "attachments": "engineering.start",
        "card": ("engineering.status", "deploy.status"),
    }

    def get_queryset(self) -> QuerySet[Task]:
        """Return the tasks of the projects the requester may see."""
        return owned(self.request, super().get_queryset(), by="project__owner_id")

    @extend_schema(request=None, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, **_: str) -> Response:
        """Begin the work; starting a running task answers with its one run."""
        task = self.get_object()
        require_command(request, f"{task.type}.start")
        run_id = services.start_task(task_id=task.pk)
        run = Run.objects.get(pk=run_id)
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: TaskSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, _request: Request, **_: str) -> Response:
        """Ask that the work stops; what was merged stays merged."""
        task = self.get_object()
        services.cancel_task(task_id=task.pk)
        return Response(TaskSerializer(task.reload()).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={201: TaskSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def retry(self, request: Request, **_: str) -> Response:
        """Begin the same work again as a new task."""
        task = self.get_object()
        retry_id = services.retry_task(task_id=task.pk, requested_by_id=user_id(request))
        return Response(TaskSerializer(get_task(retry_id)).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AttachSerializer, responses={201: AttachmentSerializer})
    @action(detail=True, methods=["post"])
    def attachments(self, request: Request, **_: str) -> Response:
        """Give the task a file of its person before it is started; its developers can fetch it."""
        task = self.get_object()
        body = AttachSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row = services.attach_file(task_id=task.pk, owner_id=user_id(request), **body.validated_data)
        return Response(AttachmentSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=CardSerializer)
    @action(detail=True, methods=["get"])
    def card(self, _request: Request, **_: str) -> Response:
        """Return the live card in the language of ``Accept-Language``."""
        card = selectors.get_card(task_id=self.get_object().pk, language=get_language() or "en")
        return Response(CardSerializer(card).data)


class DeploymentActionViewSet(GenericViewSet[ServiceDeployment]):
    """What one may do with a release beyond stopping it."""

    queryset = ServiceDeployment.objects.all()
    serializer_class = ServiceDeploymentSerializer
    commands: ClassVar = {"rollback": "deploy.start"}

    def get_queryset(self) -> QuerySet[ServiceDeployment]:
        """Return the deployments of the requester's projects."""
        return owned(self.request, super().get_queryset(), by="owner_id")

    @extend_schema(request=None, responses={201: TaskSerializer})
    @action(detail=True, methods=["post"])
    @idempotent
    def rollback(self, request: Request, **_: str) -> Response:
        """Go back from a live release to the one before it, or to this earlier one; returns the task."""
        release = self.get_object()
        task_id = rollbacks.request_rollback(deployment_id=release.pk, requested_by_id=user_id(request))
        return Response(TaskSerializer(get_task(task_id)).data, status=status.HTTP_201_CREATED)


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Run]):
    """Executions of flows."""

    queryset = Run.objects.all()
    filterset_fields = ("status", "flow", "task_id")
    commands: ClassVar = {
        "list": ("engineering.status", "deploy.status"),
        "retrieve": ("engineering.status", "deploy.status"),
    }

    def get_serializer_class(self) -> type[BaseSerializer[Run]]:
        """Show the steps of a single run only."""
        return RunDetailSerializer if self.action == "retrieve" else RunSerializer

    def get_queryset(self) -> QuerySet[Run]:
        """Return the runs of the requester's tasks."""
        return owned(self.request, super().get_queryset(), by="task__project__owner_id")


class VerificationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Verification]):
    """Checks of commits, with their evidence."""

    queryset = Verification.objects.all()
    serializer_class = VerificationSerializer
    filterset_fields = ("status", "project_id", "task_id")

    def get_queryset(self) -> QuerySet[Verification]:
        """Return the verifications of the requester's projects."""
        projects = owned(self.request, Project.objects.all(), by="owner_id")
        return super().get_queryset().filter(project_id__in=projects.values("pk"))
