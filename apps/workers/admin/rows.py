"""What the pages of a task's rows share."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown


class TaskRowAdmin(HistoryAdmin):
    """Pages of rows that belong to a task of the layer above, which they know by its id."""

    @shown(_("Id"), ordering="id")
    def short_id(self, row: Any) -> str:
        """Show the beginning of the id."""
        return str(row.pk)[: display.SHORT_ID]

    @shown(_("Task"))
    def shown_task(self, row: Any) -> str:
        """Link to the task."""
        return display.link("projects_task", row.task_id)

    @shown(_("Project"))
    def shown_project(self, row: Any) -> str:
        """Link to the project."""
        return display.link("projects_project", row.project_id)

    @shown(_("Failure"))
    def shown_failure(self, row: Any) -> str:
        """Show why it did not succeed."""
        return display.failure(row.failure)

    @shown(_("Failure"))
    def failure_code(self, row: Any) -> str:
        """Show the code of the failure."""
        return display.failure_word(row.failure)

    @shown(_("Log tail"))
    def shown_log(self, row: Any) -> str:
        """Show the last lines it wrote."""
        return display.log(row.log_tail)
