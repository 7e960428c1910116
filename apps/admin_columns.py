"""Columns and fields that the pages of several apps show in the same way."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import shown


class RowColumns:
    """For a page beside its base class; it lists those of them that its rows have."""

    @shown(_("Project"), ordering="project__slug")
    def shown_project(self, row: Any) -> str:
        """Link to the project."""
        return display.link("projects_project", row.project_id, row.project.slug)

    @shown(_("Task"))
    def shown_task(self, row: Any) -> str:
        """Link to the task."""
        return display.link("projects_task", row.task_id)

    @shown(_("Failure"))
    def shown_failure(self, row: Any) -> str:
        """Show why it did not end well."""
        return display.failure(row.failure)

    @shown(_("Failure"))
    def failure_code(self, row: Any) -> str:
        """Show the code of the failure."""
        return display.failure_word(row.failure)

    @shown(_("Log tail"))
    def shown_log(self, row: Any) -> str:
        """Show the last lines it wrote."""
        return display.log(row.log_tail)
