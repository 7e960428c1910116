"""REST: projects, tasks and their events. Plain POST and PATCH only write the database."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.errors import NotFound
from apps.idempotency import idempotent
from apps.projects import selectors, services
from apps.projects.filters import ProjectFilter, TaskFilter
from apps.projects.models import MergeRequest, Module, Project, Task, TaskEvent
from apps.projects.serializers import (
    MergeRequestSerializer,
    ProjectCreateSerializer,
    ProjectSerializer,
    ProjectUpdateSerializer,
    SecretKeySerializer,
    SecretSerializer,
    TaskCreateSerializer,
    TaskEventSerializer,
    TaskSerializer,
)
from apps.rest import (
    BodyParser,
    CommandDenied,
    owned,
    require_command,
    require_not_viewer,
    restriction_of,
    user_id,
)
from apps.versions import VersionedMixin, tagged, unchanged

STATUS_COMMANDS = ("engineering.status", "deploy.status")


class ProjectViewSet(mixins.ListModelMixin, VersionedMixin, GenericViewSet[Project]):
    """What people asked to have built."""

    queryset = Project.objects.all()
    serializer_class = ProjectSerializer
    filterset_class = ProjectFilter
    parser_classes = (BodyParser,)
    commands: ClassVar = {
        "list": "project.list",
        "retrieve": "project.get",
        "create": "project.create",
        "partial_update": "project.update",
        "scaffold": "project.create",
        "secrets": "project.secrets",
    }

    def get_queryset(self) -> QuerySet[Project]:
        """Return the projects the requester may see."""
        return owned(self.request, super().get_queryset(), by="owner_id")

    @extend_schema(request=ProjectCreateSerializer, responses={201: ProjectSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Create a project: a row and nothing else. ``scaffold`` makes its repository."""
        body = ProjectCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        project_id = services.create_project(
            owner_id=user_id(request),
            name=body.validated_data["name"],
            description=body.validated_data["description"],
            modules=body.validated_data.get("modules") or [Module.BACKEND.value],
        )
        project = selectors.get_project(project_id)
        return Response(ProjectSerializer(project).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ProjectUpdateSerializer, responses=ProjectSerializer)
    def partial_update(self, request: Request, **_: str) -> Response:
        """Change a project's name or description."""
        project = self.get_object()
        body = ProjectUpdateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with unchanged(request, project):
            services.update_project(project_id=project.pk, **body.validated_data)
        return tagged(project.reload(), ProjectSerializer(project).data)

    @extend_schema(request=None, responses={202: ProjectSerializer})
    @action(detail=True, methods=["post"])
    def scaffold(self, _request: Request, **_: str) -> Response:
        """Make the repository from the template; asking again is harmless."""
        project = self.get_object()
        services.request_scaffold(project_id=project.pk)
        return Response(ProjectSerializer(project.reload()).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(methods=["get"], responses=SecretKeySerializer(many=True))
    @extend_schema(methods=["post"], request=SecretSerializer, responses={201: SecretKeySerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None, filterset_class=None)
    @idempotent
    def secrets(self, request: Request, **_: str) -> Response:
        """List which secrets are set, or set one. Values are never given out; viewers learn nothing."""
        project = self.get_object()
        if request.method == "GET":
            require_not_viewer(request)
            listed = SecretKeySerializer(selectors.list_secrets(project_id=project.pk), many=True)
            return Response(listed.data)
        body = SecretSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.set_secret(project_id=project.pk, **body.validated_data)
        rows = {row.key: row for row in selectors.list_secrets(project_id=project.pk)}
        written = SecretKeySerializer(rows[body.validated_data["key"]])
        return Response(written.data, status=status.HTTP_201_CREATED)


class TaskViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Task]):
    """Pieces of work asked of projects."""

    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    filterset_class = TaskFilter
    parser_classes = (BodyParser,)
    commands: ClassVar = {
        "list": "project.tasks",
        "retrieve": STATUS_COMMANDS,
        "create": ("engineering.start", "deploy.start"),
    }

    def get_queryset(self) -> QuerySet[Task]:
        """Return the tasks of the projects the requester may see."""
        return owned(self.request, super().get_queryset(), by="project__owner_id")

    @extend_schema(request=TaskCreateSerializer, responses={201: TaskSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        """Create a task: a row and nothing else. ``start`` begins the work."""
        body = TaskCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values: dict[str, Any] = body.validated_data
        require_command(request, f"{values['type']}.start")
        if values["allow_protected"] and restriction_of(request) is not None:
            raise CommandDenied("Permission denied: only a person may allow changes of protected files.")
        # A project the requester may not see does not exist for them.
        visible = owned(request, Project.objects.all(), by="owner_id")
        project = visible.filter(pk=values["project_id"]).first()
        if project is None:
            raise NotFound("There is no such project.", details={"project_id": "Not found."})
        task_id = services.create_task(
            project_id=project.pk,
            type=values["type"],
            spec=values["spec"],
            deploy_after=values["deploy_after"],
            allow_protected=values["allow_protected"],
            requested_by_id=user_id(request),
        )
        return Response(TaskSerializer(selectors.get_task(task_id)).data, status=status.HTTP_201_CREATED)


class TaskEventViewSet(mixins.ListModelMixin, GenericViewSet[TaskEvent]):
    """A task's timeline, oldest first."""

    queryset = TaskEvent.objects.all()
    serializer_class = TaskEventSerializer
    page_ordering = "seq"
    commands: ClassVar = {"list": STATUS_COMMANDS}

    def get_queryset(self) -> QuerySet[TaskEvent]:
        """Return the events of one task that the requester may see."""
        tasks = owned(self.request, Task.objects.all(), by="project__owner_id")
        task = get_object_or_404(tasks, pk=self.kwargs["task_id"])
        return super().get_queryset().filter(task=task)


class TaskChangeViewSet(mixins.ListModelMixin, GenericViewSet[MergeRequest]):
    """What a task proposed, newest first: commits, pull request, the git host's checks."""

    queryset = MergeRequest.objects.all()
    serializer_class = MergeRequestSerializer
    commands: ClassVar = {"list": STATUS_COMMANDS}

    def get_queryset(self) -> QuerySet[MergeRequest]:
        """Return the changes of one task that the requester may see."""
        tasks = owned(self.request, Task.objects.all(), by="project__owner_id")
        task = get_object_or_404(tasks, pk=self.kwargs["task_id"])
        return super().get_queryset().filter(task=task)
