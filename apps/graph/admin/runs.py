"""Pages of runs: their picture, their steps, what they asked."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, Section, first_of, left_out, shown
from apps.admin_columns import RowColumns
from apps.graph.admin import pictures
from apps.graph.models import Run

MAX_STEPS_SHOWN = 60
MAX_QUESTIONS_SHOWN = 20
#: What a run may wait for → the page of that row.
_PAGES = {
    "project": "projects_project",
    "worker": "workers_worker",
    "removal": "workers_worker",
    "turn": "workers_turn",
    "change": "projects_mergerequest",
    "merge": "projects_mergerequest",
    "verification": "workers_verification",
    "deployment": "infra_servicedeployment",
    "question": "graph_question",
}


def waiting_link(waiting_for: str) -> str:
    """Link to the row that ``kind:id`` names; a kind without a page is shown as it is."""
    kind, _colon, name = waiting_for.partition(":")
    page = _PAGES.get(kind)
    return (
        display.link(page, name, f"{kind} {name[: display.SHORT_ID]}") if page else display.code(waiting_for)
    )


@admin.register(Run)
class RunAdmin(RowColumns, HistoryAdmin):
    """Runs: executions of flows, and what each of their steps took."""

    list_display = (
        "short_id",
        "shown_status",
        "flow",
        "shown_project",
        "shown_task",
        "shown_waiting",
        "failure_code",
        "created_at",
    )
    list_select_related = ("task__project",)
    list_filter = ("status", "flow", "created_at")
    search_fields = ("id__startswith", "task__id__startswith", "task__project__slug", "waiting_for")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    change_form_outer_before_template = "orchestrator/admin/pictures.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_task", "shown_project"),
                    ("shown_waiting", "flow", "flow_version"),
                    "shown_failure",
                )
            },
        ),
        (
            _("Counters"),
            {"fields": (("worker_attempts", "reworks"), ("drives", "troubles"))},
        ),
        (
            _("Times"),
            {
                "fields": (
                    ("created_at", "deadline_at", "finished_at"),
                    ("heartbeat_at", "status_changed_at", "forgotten_at"),
                )
            },
        ),
        (_("Outcome"), {"fields": ("shown_outcome",)}),
    )

    @shown(_("Run"), ordering="id")
    def short_id(self, run: Run) -> str:
        """Show the beginning of the id."""
        return str(run.pk)[: display.SHORT_ID]

    @shown(_("Project"), ordering="task__project__slug")
    def shown_project(self, run: Run) -> str:
        """Link to the project."""
        return display.link("projects_project", run.task.project_id, run.task.project.slug)

    @shown(_("Waits for"))
    def shown_waiting(self, run: Run) -> str:
        """Link to what it waits for."""
        return waiting_link(run.waiting_for) if run.waiting_for else display.NOTHING

    @shown(_("Outcome"))
    def shown_outcome(self, run: Run) -> str:
        """Show what the flow decided."""
        return display.facts(run.outcome)

    @override
    def details(self, row: Run) -> dict[str, Any]:
        """Draw the run."""
        return {**super().details(row), "pictures": pictures.draw_runs([row])}

    @override
    def sections(self, row: Run) -> Iterable[Section]:
        """Show its latest steps and questions."""
        steps, more = first_of(row.steps.order_by("-seq"), MAX_STEPS_SHOWN)
        yield Section(
            title=_("Steps"),
            more=left_out(MAX_STEPS_SHOWN, reverse("run-detail", args=[row.pk])) if more else "",
            headers=("#", _("Step"), _("Waited for"), _("Began"), _("Took"), _("Data")),
            rows=[
                (
                    str(step.seq),
                    display.code(step.node),
                    waiting_link(step.waiting_for) if step.waiting_for else display.NOTHING,
                    display.moment(step.started_at),
                    display.between(step.started_at, step.finished_at),
                    display.facts(step.data),
                )
                for step in reversed(steps)
            ],
        )
        asked = row.questions.order_by("-created_at")
        questions, more = first_of(asked, MAX_QUESTIONS_SHOWN, "graph_question", run=row.pk)
        yield Section(
            title=_("Questions"),
            more=more,
            headers=(_("Question"), _("Status"), _("Asked"), _("Answered")),
            rows=[
                (
                    display.link("graph_question", question.pk, display.beginning(question.text)),
                    display.status(question),
                    display.moment(question.created_at),
                    display.moment(question.answered_at),
                )
                for question in questions
            ],
        )
