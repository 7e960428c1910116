"""The tables of the admin's first page: what waits, what broke, what is live, what there is of everything."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section, Words
from apps.bot.models import Trouble
from apps.graph.admin import waiting
from apps.graph.models import Question, QuestionStatus, Run
from apps.infra.models import DeploymentStatus, Incident, IncidentStatus, ServiceDeployment
from apps.projects.models import Task
from apps.workers.models import DeadLetter, DeadLetterStatus, Verdict, Worker
from apps.workers.models.worker import ACTIVE
from apps.workers.spending import Spend
from orchestrator import situation

SHOWN_ROWS = 10
DAY, WEEK = timedelta(days=1), timedelta(days=7)
NO_DATA = _("no data")
LIMITS = (
    "WORKERS_MAX_CONCURRENT",
    "WORKERS_MEMORY_MB",
    "WORKERS_CPUS",
    "WORKERS_TURN_TIMEOUT_SECONDS",
    "WORKERS_QUEUE_DEADLINE_SECONDS",
    "GRAPH_WORKFLOW_DEADLINE_SECONDS",
    "GRAPH_MAX_WORKER_ATTEMPTS",
    "GRAPH_MAX_REWORKS",
    "GITHUB_HOURLY_BUDGET",
)
unfinished = waiting.unfinished


def questions() -> Section:
    """Return what people are asked, the most urgent first."""
    asked = Question.objects.filter(status=QuestionStatus.OPEN).select_related("run__task__project")
    return Section(
        title=_("Open questions"),
        headers=(_("Question"), _("Project"), _("Asked"), _("Until")),
        rows=[
            (
                display.link("graph_question", question.pk, display.beginning(question.text)),
                _project_of(question),
                display.moment(question.created_at),
                display.moment(question.deadline_at),
            )
            for question in asked.order_by("deadline_at")[:SHOWN_ROWS]
        ],
    )


def failed_tasks(tasks: QuerySet[Task]) -> Section:
    """Return tasks that broke or were refused."""
    return Section(
        title=_("Failed in 24 hours"),
        headers=(_("Task"), _("Project"), _("Status"), _("What was asked"), _("Failure"), _("Created")),
        rows=[
            (
                display.link("projects_task", task.pk),
                display.link("projects_project", task.project_id, task.project.slug),
                display.status(task),
                display.beginning(task.spec) or display.NOTHING,
                display.failure_word(task.failure),
                display.moment(task.created_at),
            )
            for task in tasks.select_related("project")[:SHOWN_ROWS]
        ],
    )


def needs_a_look() -> Section:
    """Return what is wrong: incidents, the bot's troubles, workers that do not move, unreadable entries."""
    rows = [*_incidents(), *_troubles(), *_stalled_workers(), *_dead_letters()]
    return Section(title=_("Needs a look"), headers=(_("What"), _("Why"), _("Since")), rows=rows)


def _incidents() -> Iterator[tuple[Any, ...]]:
    # By the alphabet "critical" comes before "warning".
    rows = Incident.objects.filter(status=IncidentStatus.OPEN).order_by("severity", "-opened_at")
    for row in rows.defer("details")[:SHOWN_ROWS]:
        what = f"{gettext('Incident')}: {row.get_severity_display()}"
        yield (
            display.link("infra_incident", row.pk, what),
            display.beginning(row.message),
            display.moment(row.opened_at),
        )


def _troubles() -> Iterator[tuple[Any, ...]]:
    for row in Trouble.objects.filter(resolved_at=None).order_by("-last_at")[:SHOWN_ROWS]:
        yield (
            display.link("bot_trouble", row.pk, gettext("Trouble of the bot")),
            display.beginning(row.message),
            display.moment(row.created_at),
        )


def _stalled_workers() -> Iterator[tuple[Any, ...]]:
    stalled = Worker.objects.filter(status__in=ACTIVE, verdict__in=[Verdict.STALLED, Verdict.DEAD])
    for worker in stalled.order_by("verdict_since")[:SHOWN_ROWS]:
        yield (
            display.link("workers_worker", worker.pk, f"{gettext('Worker')} {str(worker.pk)[:8]}"),
            display.label(worker.verdict, str(Verdict(worker.verdict).label)),
            display.moment(worker.verdict_since),
        )


def _dead_letters() -> Iterator[tuple[Any, ...]]:
    letters = DeadLetter.objects.filter(status=DeadLetterStatus.PENDING).order_by("-created_at")
    for letter in letters.defer("payload")[:SHOWN_ROWS]:
        yield (
            display.link("workers_deadletter", letter.pk, gettext("Dead letter")),
            display.beginning(letter.reason),
            display.moment(letter.created_at),
        )


def live_deployments() -> Section:
    """Return what answers at an address."""
    live = ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE)
    return Section(
        title=_("Live deployments"),
        headers=(_("Deployment"), _("URL"), _("Live since")),
        rows=[
            (
                display.link("infra_servicedeployment", row.pk, str(row)),
                display.outside_link(row.url),
                display.moment(row.live_at),
            )
            for row in live.order_by(F("live_at").desc(nulls_last=True)).defer("environment", "log_tail")[
                :SHOWN_ROWS
            ]
        ],
    )


def installation() -> Section:
    """Return capacity, spend and freshness; what nobody told is called so, and not zero."""
    taken, heard = situation.capacity(), situation.freshness()
    rows = [
        (_("Workers"), _of(taken.workers, taken.worker_limit), _waiting(taken.waiting_workers)),
        (_("Ports"), _of(taken.ports, taken.port_limit), ""),
        *_spent(_("Spent in 24 hours"), situation.spend(DAY)),
        *_spent(_("Spent in 7 days"), situation.spend(WEEK)),
        (_("Scheduler's last tick"), _age(heard.beat), _("it is written down every few minutes")),
        (_("A worker's last heartbeat"), _age(heard.heartbeat), display.moment(heard.heartbeat)),
        (_("Last event of a task"), _age(heard.event), display.moment(heard.event)),
    ]
    return Section(
        title=_("Capacity, spend, freshness"), headers=(_("What"), _("Value"), _("More")), rows=rows
    )


def queues() -> Section:
    """Return how many messages wait in each queue."""
    depths = situation.queue_depths()
    rows = [] if depths is None else [(display.code(name), str(depth)) for name, depth in depths.items()]
    rows = rows or [(display.NOTHING, str(NO_DATA))]
    return Section(title=_("Queues"), headers=(_("Queue"), _("Messages that wait")), rows=rows)


def limits() -> Section:
    """Return the bounds that the settings give this installation; they are changed there, not here."""
    return Section(
        title=_("Limits"),
        headers=(_("Setting"), _("Value")),
        rows=[(display.code(name), str(getattr(settings, name, NO_DATA))) for name in LIMITS],
    )


def _project_of(question: Question) -> str:
    run: Run | None = question.run
    if run is None:
        return display.NOTHING
    return display.link("projects_project", run.task.project_id, run.task.project.slug)


def _of(taken: int, limit: int | None) -> str:
    return (
        str(NO_DATA)
        if limit is None
        else gettext("%(taken)s of %(limit)s") % {"taken": taken, "limit": limit}
    )


def _waiting(count: int) -> str:
    words = ngettext("%(count)s waits for a place", "%(count)s wait for a place", count)
    return words % {"count": count} if count else ""


def _spent(title: Words, found: Spend) -> Iterator[tuple[Any, Any, Any]]:
    cost = str(NO_DATA) if found.cost_usd is None else f"{found.cost_usd:.2f} USD"
    words = gettext("%(told)s of %(turns)s turns told what they cost") % {
        "told": found.told,
        "turns": found.turns,
    }
    tokens = "" if found.tokens is None else f"; {gettext('tokens')}: {found.tokens}"
    yield title, cost, f"{words}{tokens}"


def _age(moment: datetime | None) -> str:
    if moment is None:
        return str(NO_DATA)
    age = display.seconds(max(0.0, (timezone.now() - moment).total_seconds()))
    return gettext("%(age)s ago") % {"age": age}
