"""The admin's first page and its sidebar: the one place that looks across all apps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section, Words, list_address
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.projects.models import Task, TaskStatus
from apps.workers.models import DeadLetter, DeadLetterStatus, Worker
from apps.workers.models.worker import ACTIVE

SHOWN_ROWS = 10
RECENTLY = timedelta(hours=24)
FAILED = [TaskStatus.FAILED, TaskStatus.CRASHED]
UNFINISHED = [TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.CANCELING]

#: title of a group → (title, model as in permissions, icon); in the order of the main flow.
NAVIGATION: Sequence[tuple[Words, Sequence[tuple[Words, str, str]]]] = (
    (
        _("Work"),
        (
            (_("Projects"), "projects.project", "folder_code"),
            (_("Tasks"), "projects.task", "task_alt"),
            (_("Runs"), "graph.run", "account_tree"),
            (_("Questions"), "graph.question", "contact_support"),
            (_("Merge requests"), "projects.mergerequest", "merge"),
        ),
    ),
    (
        _("Agents"),
        (
            (_("Workers"), "workers.worker", "smart_toy"),
            (_("Turns"), "workers.turn", "forum"),
            (_("Verifications"), "workers.verification", "verified"),
            (_("Dead letters"), "workers.deadletter", "mark_email_unread"),
            (_("Images"), "workers.workerimage", "deployed_code"),
            (_("Agent configs"), "workers.agentconfig", "tune"),
        ),
    ),
    (
        _("Services"),
        (
            (_("Deployments"), "infra.servicedeployment", "rocket_launch"),
            (_("Servers"), "infra.server", "dns"),
        ),
    ),
    (
        _("Settings"),
        (
            (_("Users"), "projects.user", "person"),
            (_("Invitations"), "projects.invitation", "mail"),
            (_("Secrets"), "projects.projectsecret", "key"),
            (_("Personal tokens"), "knox.authtoken", "badge"),
            (_("Periodic tasks"), "django_celery_beat.periodictask", "schedule"),
        ),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number of the first page, with the list behind it."""

    title: Words
    count: int
    address: str
    icon: str
    tone: str = ""  # danger: somebody should look


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: what the person may see, in the project's words."""
    first = {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [first]}]
    for title, items in NAVIGATION:
        shown = [
            {"title": name, "icon": icon, "link": list_address(model.replace(".", "_"))}
            for name, model, icon in items
            if may_view(request, model)
        ]
        if shown:
            groups.append({"title": title, "separator": True, "items": shown})
    return groups


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures and the short lists of the first page: a fixed number of queries."""
    return {
        **context,
        "title": _("Overview"),
        "figures": list(_figures(request)),
        "sections": [section for section in _sections(request) if section.rows],
    }


def stylesheet(_request: HttpRequest) -> str:
    """Return the address of our few styles."""
    return static("orchestrator/admin.css")


def favicon(_request: HttpRequest) -> str:
    """Return the address of our sign."""
    return static("orchestrator/favicon.svg")


def may_view(request: HttpRequest, model: str) -> bool:
    """Tell whether the person may see the rows of a model, ``app.model``."""
    app, _dot, name = model.partition(".")
    person: Any = request.user
    return any(person.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))


def _figures(request: HttpRequest) -> Iterator[Figure]:
    if may_view(request, "projects.task"):
        yield _figure(
            _("Unfinished tasks"), Task.objects, "projects_task", "play_circle", status__in=UNFINISHED
        )
    if may_view(request, "workers.worker"):
        yield _figure(
            _("Active workers"), Worker.objects, "workers_worker", "smart_toy", status__in=sorted(ACTIVE)
        )
    if may_view(request, "infra.servicedeployment"):
        rows = ServiceDeployment.objects
        live = [DeploymentStatus.LIVE]
        yield _figure(
            _("Live deployments"), rows, "infra_servicedeployment", "rocket_launch", status__in=live
        )
    if may_view(request, "workers.deadletter"):
        pending = [DeadLetterStatus.PENDING]
        yield _figure(
            _("Open dead letters"),
            DeadLetter.objects,
            "workers_deadletter",
            "mark_email_unread",
            tone="danger",
            status__in=pending,
        )
    if may_view(request, "projects.task"):
        yield _figure(
            _("Failed in 24 hours"),
            Task.objects,
            "projects_task",
            "error",
            tone="danger",
            status__in=FAILED,
            finished_at__gte=_recently(),
        )


def _figure(title: Words, rows: Any, page: str, icon: str, *, tone: str = "", **filters: Any) -> Figure:
    count = rows.filter(**filters).count()
    words = {name: ",".join(value) if isinstance(value, list) else value for name, value in filters.items()}
    return Figure(
        title=title,
        count=count,
        address=list_address(page, **words),
        icon=icon,
        tone=tone if count else "",
    )


def _recently() -> str:
    # Whole minutes: the address of the list stays readable.
    return (timezone.now() - RECENTLY).strftime("%Y-%m-%d %H:%M+00:00")


def _sections(request: HttpRequest) -> Iterator[Section]:
    if may_view(request, "projects.task"):
        unfinished = Task.objects.filter(status__in=UNFINISHED).order_by("-created_at")
        yield _tasks(_("Unfinished tasks"), unfinished)
    if may_view(request, "infra.servicedeployment"):
        live = ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE).order_by("-live_at")
        yield Section(
            title=_("Live deployments"),
            headers=(_("Deployment"), _("URL"), _("Live since")),
            rows=[
                (
                    display.link("infra_servicedeployment", row.pk, str(row)),
                    display.outside_link(row.url),
                    display.moment(row.live_at),
                )
                for row in live.defer("environment", "log_tail")[:SHOWN_ROWS]
            ],
        )
    if may_view(request, "projects.task"):
        failed = Task.objects.filter(status__in=FAILED, finished_at__gte=_recently())
        yield _tasks(_("Failed in 24 hours"), failed.order_by("-finished_at"))


def _tasks(title: Words, tasks: QuerySet[Task]) -> Section:
    return Section(
        title=title,
        headers=(_("Task"), _("Project"), _("Status"), _("What was asked"), _("Failure"), _("Created")),
        rows=[
            (
                display.link("projects_task", task.pk),
                display.link("projects_project", task.project_id, task.project.slug),
                display.status(task),
                display.beginning(task.spec),
                display.failure_word(task.failure),
                display.moment(task.created_at),
            )
            for task in tasks.select_related("project")[:SHOWN_ROWS]
        ],
    )
