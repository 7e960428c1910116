"""What is under way, what each of it waits for, and whose move that is."""

from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section, Words
from apps.graph.admin.runs import waiting_link
from apps.graph.models import UNFINISHED, Run
from apps.projects.models import Task

SHOWN_ROWS: Final = 10
#: Whose move it is, by the kind of row that a run waits for; whatever is not named here is the system's.
_MOVERS: Final[dict[str, Words]] = {
    "question": _("a person"),
    "turn": _("the agent"),
    "unavailable": _("a service that does not answer"),
}


def unfinished(tasks: QuerySet[Task], *, with_project: bool = True) -> Section:
    """Return a table of tasks that are under way, in the order of the query; two queries.

    Args:
        tasks: of which the first are shown.
        with_project: whether each is shown with its project.

    """
    shown = list(tasks.select_related("project")[:SHOWN_ROWS])
    runs = {
        run.task_id: run for run in Run.objects.filter(task__in=shown, status__in=UNFINISHED).order_by("pk")
    }
    project = (_("Project"),) if with_project else ()
    about = (_("Status"), _("What was asked"), _("Waits for"), _("Whose move"), _("Since"))
    return Section(
        title=_("Unfinished tasks"),
        headers=(_("Task"), *project, *about),
        rows=[
            (
                display.link("projects_task", task.pk),
                *((_project_of(task),) if with_project else ()),
                display.status(task),
                display.beginning(task.spec) or task.get_type_display(),
                *_wait(runs.get(task.pk)),
            )
            for task in shown
        ],
    )


def _project_of(task: Task) -> str:
    return display.link("projects_project", task.project_id, task.project.slug)


def _wait(run: Run | None) -> tuple[Any, Any, Any]:
    if run is None or not run.waiting_for:
        since = display.moment(run.status_changed_at) if run else display.NOTHING
        return display.NOTHING, _("the system"), since
    mover = _MOVERS.get(run.waiting_for.partition(":")[0], _("the system"))
    return waiting_link(run.waiting_for), mover, display.moment(run.status_changed_at)
