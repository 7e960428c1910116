"""The admin's first page and its sidebar: the one place that looks across all apps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.admin_base import Section, Words, list_address
from apps.bot.models import Trouble
from apps.graph.models import Question, QuestionStatus
from apps.infra.models import DeploymentStatus, Incident, IncidentStatus, ServiceDeployment
from apps.projects.models import Task, TaskStatus
from apps.workers.models import DeadLetter, DeadLetterStatus, Worker
from apps.workers.models.worker import ACTIVE
from orchestrator import dashboard_sections as tables

_SECTIONED = ("graph.question", "workers.worker", "projects.task", "infra.servicedeployment")
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
            (_("Repositories"), "projects.hostedrepository", "inventory_2"),
            (_("Documents"), "documents.document", "article"),
            (_("Documents read"), "documents.documentindex", "menu_book"),
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
            (_("Set-ups"), "infra.provisioning", "build"),
            (_("Incidents"), "infra.incident", "warning"),
        ),
    ),
    (
        _("Chat"),
        (
            (_("Chats"), "bot.chat", "chat"),
            (_("Messages"), "bot.chatmessage", "chat_bubble"),
            (_("Deliveries"), "bot.delivery", "send"),
            (_("Troubles"), "bot.trouble", "report"),
            (_("Updates"), "bot.processedupdate", "inbox"),
        ),
    ),
    (
        _("Settings"),
        (
            (_("Users"), "projects.user", "person"),
            (_("Invitations"), "projects.invitation", "mail"),
            (_("Secrets"), "projects.projectsecret", "key"),
            (_("Personal tokens"), "projects.personaltoken", "badge"),
            (_("Webhooks"), "hooks.webhook", "webhook"),
            (_("Webhook deliveries"), "hooks.hookdelivery", "outbox"),
            (_("Periodic tasks"), "django_celery_beat.periodictask", "schedule"),
            (_("Periodic runs"), "periodic.periodicjob", "update"),
            (_("Who did what"), "admin.logentry", "history"),
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
    with_page = {model._meta.label_lower for model in admin.site._registry}
    for title, items in NAVIGATION:
        shown = [
            {"title": name, "icon": icon, "link": list_address(model.replace(".", "_"))}
            for name, model, icon in items
            if model in with_page and may_view(request, model)
        ]
        if shown:
            groups.append({"title": title, "separator": True, "items": shown})
    groups.append({"title": _("Outside"), "separator": True, "items": list(_outside())})
    return groups


def _outside() -> Iterator[dict[str, Any]]:
    """Pages that are not the admin's own, behind the same sign-in."""
    yield {"title": _("Flower"), "icon": "local_florist", "link": reverse("flower")}
    yield {"title": _("API"), "icon": "api", "link": reverse("docs")}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures and the short lists of the first page: a fixed number of queries."""
    figures = list(_figures(request))
    return {
        **context,
        "title": _("Overview"),
        "figures": figures,
        "is_calm": not any(figure.count for figure in figures),
        "sections": [section for section in _sections(request) if section.rows],
        "gauges": _gauges(request),
    }


def stylesheet(_request: HttpRequest) -> str:
    """Return the address of our few styles."""
    return static("orchestrator/admin.css")


def script(_request: HttpRequest) -> str:
    """Return the address of what the pages' own scripts leave out."""
    return static("orchestrator/admin.js")


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
    if may_view(request, "graph.question"):
        asked = [QuestionStatus.OPEN]
        yield _figure(
            _("Open questions"), Question.objects, "graph_question", "contact_support", status__in=asked
        )
    if may_view(request, "infra.servicedeployment"):
        rows = ServiceDeployment.objects
        live = [DeploymentStatus.LIVE]
        yield _figure(
            _("Live deployments"), rows, "infra_servicedeployment", "rocket_launch", status__in=live
        )
    yield from _broken_figures(request)


def _broken_figures(request: HttpRequest) -> Iterator[Figure]:
    """What somebody should look at."""
    if may_view(request, "infra.incident"):
        is_open = [IncidentStatus.OPEN]
        yield _figure(
            _("Open incidents"),
            Incident.objects,
            "infra_incident",
            "warning",
            tone="danger",
            status__in=is_open,
        )
    if may_view(request, "bot.trouble"):
        rows = Trouble.objects
        yield _figure(
            _("Open troubles"), rows, "bot_trouble", "report", tone="danger", resolved_at__isnull=True
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
    """Return the tables in the order in which somebody should look."""
    may_see = {model: may_view(request, model) for model in _SECTIONED}
    failed = Task.objects.filter(status__in=FAILED, finished_at__gte=_recently()).order_by("-finished_at")
    if may_see["graph.question"]:
        yield tables.questions()
    if may_see["workers.worker"]:
        yield tables.needs_a_look()
    if may_see["projects.task"]:
        yield tables.unfinished(Task.objects.filter(status__in=UNFINISHED).order_by("-created_at"))
        yield tables.failed_tasks(failed)
    if may_see["infra.servicedeployment"]:
        yield tables.live_deployments()


def _gauges(request: HttpRequest) -> list[Section]:
    """Tables that stand side by side where there is room."""
    if not may_view(request, "workers.worker"):
        return []
    return [tables.installation(), tables.queues(), tables.limits()]
