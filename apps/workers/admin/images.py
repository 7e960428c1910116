"""Pages of the images that workers start from."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.admin_columns import RowColumns
from apps.workers.models import WorkerImage


@admin.register(WorkerImage)
class WorkerImageAdmin(RowColumns, HistoryAdmin):
    """Images: what they consist of, how their latest build went, when they were last used."""

    list_display = (
        "tag",
        "shown_status",
        "agent_type",
        "shown_size",
        "shown_duration",
        "failure_code",
        "last_used_at",
        "created_at",
    )
    list_filter = ("status", "agent_type", "created_at")
    search_fields = ("tag", "image_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "agent_type", "shown_capabilities"),
                    ("tag", "image_id"),
                    "shown_failure",
                )
            },
        ),
        (
            _("Build"),
            {
                "fields": (
                    ("shown_size", "shown_duration", "attempts"),
                    ("started_at", "finished_at", "deadline_at"),
                    "shown_command",
                    "shown_log",
                )
            },
        ),
        (_("Times"), {"fields": (("created_at", "last_used_at", "observed_at"),)}),
    )

    @shown(_("Size"), ordering="size_bytes")
    def shown_size(self, image: WorkerImage) -> str:
        """Show its size with the layers that it shares."""
        return "–" if image.size_bytes is None else display.size(image.size_bytes)

    @shown(_("Took"), ordering="build_seconds")
    def shown_duration(self, image: WorkerImage) -> str:
        """Show how long its build took."""
        return display.seconds(image.build_seconds)

    @shown(_("Capabilities"))
    def shown_capabilities(self, image: WorkerImage) -> str:
        """Show what it contains besides its agent."""
        return ", ".join(image.capabilities) or "–"

    @shown(_("Failed command"))
    def shown_command(self, image: WorkerImage) -> str:
        """Show the command that failed."""
        return display.code(image.failed_command)
