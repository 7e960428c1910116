"""The page of a project with what only this app can tell: what runs, where it answers, what it waits for."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import Section, left_out, list_address, operation
from apps.graph import services
from apps.graph.admin import waiting
from apps.graph.admin.questions import MAX_FORMS, forms_of
from apps.graph.models import Question, QuestionStatus
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.projects import services as projects
from apps.projects.admin.projects import ProjectAdmin
from apps.projects.models import Project, ProjectStatus, TaskStatus, TaskType
from apps.workers.models import Turn
from apps.workers.spending import Spend, spend_of

_UNFINISHED: Final = (TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.CANCELING)
_SHOWN_RELEASES: Final = 10

admin.site.unregister(Project)


@admin.register(Project)
class ProjectPage(ProjectAdmin):
    """Projects: what people asked to have built, what runs of it, and what it needs from people."""

    change_form_outer_before_template = "orchestrator/admin/project.html"
    actions_detail: Any = ("ask", "deploy", "scaffold", "archive")
    offered: ClassVar = {**ProjectAdmin.offered, "deploy": {ProjectStatus.ACTIVE}}

    @override
    def details(self, row: Project) -> dict[str, Any]:
        """Draw what is under way, what answers, what it cost and what it asks."""
        tasks = row.tasks.order_by("-created_at")
        busy = waiting.unfinished(tasks.filter(status__in=_UNFINISHED), with_project=False)
        releases = _releases(row)
        asked = Question.objects.filter(run__task__project=row, status=QuestionStatus.OPEN)
        return {
            # All tables stand above the form: what is, before what can be changed.
            "sections": [],
            "status_label": display.status(row),
            "failure_box": display.failure(row.failure) if row.failure else "",
            "urls": [display.outside_link(one.url) for one in releases if _answers(one)],
            "figures": _figures(spend_of(Turn.objects.filter(project_id=row.pk)), tasks.count()),
            "tables": [one for one in (busy, _table_of(row, releases), *self.sections(row)) if one.rows],
            "is_busy": bool(busy.rows) or row.status == ProjectStatus.SCAFFOLDING,
            "answer_forms": forms_of(asked.order_by("created_at")[:MAX_FORMS]),
        }

    @operation(
        _("Deploy"),
        question=_(
            "The head of the default branch is released. "
            "What answers now is replaced as soon as the new release answers."
        ),
        confirm=_("Yes, deploy it"),
        icon="rocket_launch",
    )
    def deploy(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Release what is on the default branch and show the task."""

        def act(project: Project) -> str:
            person = cast(int, request.user.pk)
            with transaction.atomic():
                task_id = projects.create_task(
                    project_id=project.pk, type=TaskType.DEPLOY, spec="", requested_by_id=person
                )
                services.start_task(task_id=task_id)
            return reverse("admin:projects_task_change", args=[task_id])

        return self.operate(request, object_id, act=act, done=_("The deployment was started."))


def _releases(project: Project) -> list[ServiceDeployment]:
    """Return what answers, then the latest of the rest, one more than is shown; no values of theirs."""
    rows = ServiceDeployment.objects.filter(project_id=project.pk).defer("environment", "log_tail")
    most = _SHOWN_RELEASES + 1
    live = list(rows.filter(status=DeploymentStatus.LIVE).order_by("service_name")[:most])
    rest = rows.exclude(status=DeploymentStatus.LIVE).order_by("-created_at")
    return [*live, *rest[: most - len(live)]]


def _answers(release: ServiceDeployment) -> bool:
    return release.status == DeploymentStatus.LIVE and bool(release.url)


def _table_of(project: Project, releases: Sequence[ServiceDeployment]) -> Section:
    address = list_address("infra_servicedeployment", project_id=project.pk)
    return Section(
        title=_("Deployments"),
        more=left_out(_SHOWN_RELEASES, address) if len(releases) > _SHOWN_RELEASES else "",
        headers=(_("Deployment"), _("Status"), _("URL"), _("Commit"), _("Failure"), _("Live since")),
        rows=[
            (
                display.link("infra_servicedeployment", one.pk, one.service_name),
                display.status(one),
                display.outside_link(one.url) if _answers(one) else display.NOTHING,
                display.sha(one.commit_sha),
                display.failure_word(one.failure),
                display.moment(one.live_at),
            )
            for one in releases[:_SHOWN_RELEASES]
        ],
    )


def _figures(spend: Spend, tasks: int) -> list[tuple[str, str]]:
    """Return what stands below the card; what nobody told is said so, and is not zero."""
    told = gettext("%(told)s of %(turns)s turns told what they cost") % {
        "told": spend.told,
        "turns": spend.turns,
    }
    cost = gettext("no data") if spend.cost_usd is None else f"{spend.cost_usd:.2f} USD"
    tokens = gettext("no data") if spend.tokens is None else str(spend.tokens)
    return [
        (str(tasks), ngettext("task", "tasks", tasks)),
        (cost, f"{gettext('spent')}, {told}"),
        (tokens, gettext("tokens")),
    ]
