"""What the pages of a task's rows share."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.admin_columns import RowColumns


class TaskRowAdmin(RowColumns, HistoryAdmin):
    """Pages of rows that belong to a task of the layer above, which they know by its id."""

    @shown(_("Id"), ordering="id")
    def short_id(self, row: Any) -> str:
        """Show the beginning of the id."""
        return str(row.pk)[: display.SHORT_ID]

    @shown(_("Project"))
    def shown_project(self, row: Any) -> str:
        """Link to the project."""
        return display.link("projects_project", row.project_id)
