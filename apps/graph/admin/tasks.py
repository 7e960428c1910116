"""Pages of tasks: what was asked, what happened, and how to start, cancel and retry it."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import Section, first_of, list_operation, operation, shown
from apps.admin_columns import RowColumns
from apps.graph import selectors, services
from apps.graph.admin import pictures, related
from apps.graph.admin.asking import TaskAsking
from apps.graph.admin.questions import MAX_FORMS, forms_of
from apps.graph.admin.runs import waiting_link
from apps.graph.models import UNFINISHED, Question, QuestionStatus, Run
from apps.projects import selectors as projects
from apps.projects.models import Task, TaskStatus

MAX_RUNS_SHOWN = 20


@admin.register(Task)
class TaskAdmin(RowColumns, TaskAsking):
    """Tasks with their timelines."""

    list_display = (
        "short_id",
        "shown_status",
        "type",
        "shown_project",
        "shown_title",
        "failure_code",
        "shown_duration",
        "requested_by",
        "created_at",
    )
    list_select_related = ("project", "requested_by")
    list_filter = ("status", "type", "deploy_after", "created_at")
    search_fields = ("id__startswith", "project__slug", "project__name", "spec", "requested_by__username")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("cancel_selected", "retry_selected")
    actions_detail = ("start", "cancel", "retry")
    offered: ClassVar = {
        "start": {TaskStatus.PENDING},
        "cancel": {TaskStatus.PENDING, TaskStatus.RUNNING},
        "retry": services.RETRYABLE,
    }
    change_form_outer_before_template = "orchestrator/admin/task.html"
    fieldsets = (
        (None, {"fields": ("shown_spec",)}),
        (
            _("Details"),
            {
                "fields": (
                    ("shown_project", "type", "requested_by"),
                    ("deploy_after", "allow_protected"),
                    ("shown_follows", "shown_retry_of"),
                    ("created_at", "started_at", "finished_at"),
                    "shown_result",
                )
            },
        ),
    )

    @override
    def details(self, row: Task) -> dict[str, Any]:
        """Draw the card, and list the rows that carry the evidence."""
        card = selectors.get_card(task_id=row.pk, language=get_language() or "en")
        task_ids = {row.pk, *(line.task_id for line in card.lines)}
        found = related.load(task_ids)
        runs = pictures.latest_runs(task_ids)
        return {
            **runs_of(runs),
            "card": card,
            "status_label": display.status(_last(row)),
            "failure_box": display.failure(card.failure) if card.failure else "",
            "url_link": display.outside_link(card.url) if card.url else "",
            "elapsed": display.seconds(card.elapsed_seconds),
            "accounting": [
                (_PARTS[name], display.seconds(value)) for name, value in card.accounting.items() if value
            ],
            "timeline": related.timeline(card, found),
            "timeline_more": related.earlier(card),
            "is_over": _last(row).status in Task.final_statuses(),
            "sections": [_runs(row), _rows(found)],
        }

    @override
    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Have a page that follows the task shown anew, once, when the task is over."""
        response = super().render_change_form(request, context, *args, **kwargs)
        if request.headers.get("HX-Request") and context.get("is_over"):
            response["HX-Refresh"] = "true"
        return response

    @shown(_("Task"), ordering="id")
    def short_id(self, task: Task) -> str:
        """Show the beginning of the id."""
        return str(task.pk)[: display.SHORT_ID]

    @shown(_("What was asked"))
    def shown_title(self, task: Task) -> str:
        """Show the beginning of what was asked."""
        return display.beginning(task.spec) or display.NOTHING

    @shown(_("What was asked"))
    def shown_spec(self, task: Task) -> str:
        """Show what was asked as it was written."""
        return display.text_block(task.spec)

    @shown(_("Took"))
    def shown_duration(self, task: Task) -> str:
        """Show how long it took."""
        return display.between(task.started_at, task.finished_at)

    @shown(_("Deploys the result of"))
    def shown_follows(self, task: Task) -> str:
        """Link to the task whose result this deploys."""
        return display.link("projects_task", task.follows_id)

    @shown(_("Retries"))
    def shown_retry_of(self, task: Task) -> str:
        """Link to the task that this tries again."""
        return display.link("projects_task", task.retry_of_id)

    @shown(_("Result"))
    def shown_result(self, task: Task) -> str:
        """Show what came of it."""
        return display.facts(task.result)

    # --- operations ---

    @operation(
        _("Start"), question=_("The task starts at once."), confirm=_("Yes, start it"), icon="play_arrow"
    )
    def start(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Start this task."""

        def act(task: Task) -> None:
            services.start_task(task_id=task.pk)

        return self.operate(request, object_id, act=act, done=_("The task was started."))

    @operation(
        _("Cancel"),
        question=_("The work stops at whatever point it is. What was merged or deployed stays."),
        confirm=_("Yes, cancel it"),
        icon="cancel",
        dangerous=True,
    )
    def cancel(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Cancel this task."""
        return self.operate(request, object_id, act=_cancel, done=_("The task is being canceled."))

    @operation(
        _("Retry"),
        question=_("The same is asked again as a new task."),
        confirm=_("Yes, ask again"),
        icon="replay",
    )
    def retry(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Try this task again and go to the new one."""

        def act(task: Task) -> str:
            task_id = services.retry_task(task_id=task.pk, requested_by_id=_person(request))
            return reverse("admin:projects_task_change", args=[task_id])

        return self.operate(request, object_id, act=act, done=_("The task was asked again."))

    @list_operation(_("Cancel"))
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Cancel every ticked task."""
        self.operate_on_each(request, queryset, act=_cancel, done=_("The task is being canceled."))

    @list_operation(_("Retry"))
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        """Try every ticked task again."""

        def act(task: Task) -> None:
            services.retry_task(task_id=task.pk, requested_by_id=_person(request))

        self.operate_on_each(request, queryset, act=act, done=_("The task was asked again."))


_PARTS = {
    "agent": _("Agent"),
    "installation": _("Package installation"),
    "checks": _("Checks"),
    "smoke": _("Smoke test"),
    "overhead": _("Everything else"),
}


def _cancel(task: Task) -> None:
    services.cancel_task(task_id=task.pk)


def _person(request: HttpRequest) -> int:
    # The admin's own views let nobody in who is not signed in.
    return cast(int, request.user.pk)


def _last(task: Task) -> Task:
    """Return the task whose end is the end of the story: the deployment that follows, if there is one."""
    follower = projects.find_follower(task_id=task.pk) if task.status == TaskStatus.SUCCEEDED else None
    return follower or task


def runs_of(runs: list[Run]) -> dict[str, Any]:
    """Return what the page draws of a task's runs: pictures, what they wait for, what they ask."""
    waiting = [run.waiting_for for run in runs if run.status in UNFINISHED and run.waiting_for]
    asked = Question.objects.filter(run__in=runs, status=QuestionStatus.OPEN).order_by("created_at")
    return {
        "pictures": pictures.draw_runs(runs),
        "waits": [waiting_link(waiting_for) for waiting_for in waiting],
        "answer_forms": forms_of(asked[:MAX_FORMS]),
    }


def _runs(task: Task) -> Section:
    runs, more = first_of(task.runs.order_by("-created_at"), MAX_RUNS_SHOWN, "graph_run", task=task.pk)
    return Section(
        title=_("Runs"),
        more=more,
        headers=(_("Run"), _("Flow"), _("Status"), _("Waits for"), _("Attempts"), _("Reworks"), _("Took")),
        rows=[
            (
                display.link("graph_run", run.pk),
                run.flow,
                display.status(run),
                display.code(run.waiting_for.partition(":")[0]),
                str(run.worker_attempts),
                str(run.reworks),
                display.between(run.created_at, run.finished_at),
            )
            for run in runs
        ],
    )


def _rows(found: list[related.Related]) -> Section:
    return Section(
        title=_("Evidence"),
        more=related.beyond(found),
        headers=(_("What"), _("Status"), _("Failure"), _("Created")),
        rows=[
            (
                one.link,
                display.status(one.row),
                display.failure_word(one.row.failure),
                display.moment(one.created_at),
            )
            for one in related.latest_of_each(found)
        ],
    )
