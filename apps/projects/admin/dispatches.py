"""Pages of dispatched workflows."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.admin_columns import RowColumns
from apps.projects.models import Dispatch


@admin.register(Dispatch)
class DispatchAdmin(RowColumns, HistoryAdmin):
    """Dispatches: runs of workflows at the git host, and how they ended."""

    list_display = (
        "__str__",
        "shown_status",
        "shown_project",
        "shown_task",
        "shown_run",
        "failure_code",
        "created_at",
    )
    list_select_related = ("project",)
    list_filter = ("status", "is_rollback", "created_at")
    search_fields = ("id__startswith", "project__slug", "sha", "run_id", "task__id__startswith")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_project", "shown_task"),
                    ("shown_run", "shown_url"),
                    "shown_failure",
                )
            },
        ),
        (_("Log tail"), {"fields": ("shown_log",)}),
        (
            _("Workflow"),
            {
                "fields": (
                    ("workflow", "environment", "ref"),
                    ("shown_commit", "is_rollback", "shown_release"),
                    ("shown_inputs", "shown_secrets", "shown_images"),
                    ("tries", "looks"),
                )
            },
        ),
        (
            _("Times"),
            {
                "fields": (
                    ("created_at", "prepared_at", "accepted_at"),
                    ("running_at", "finished_at", "status_changed_at"),
                    ("poll_at", "appear_by", "deadline_at"),
                )
            },
        ),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispatch]:
        """Leave the keys of the server in the database."""
        return super().get_queryset(request).defer("access")

    @shown(_("Deployment"))
    def shown_release(self, row: Dispatch) -> str:
        """Link to the release that it brings about."""
        return display.link("infra_servicedeployment", row.deployment_id)

    @shown(_("Run"))
    def shown_run(self, row: Dispatch) -> str:
        """Link to the run at the git host."""
        return display.outside_link(row.run_url)

    @shown(_("URL"))
    def shown_url(self, row: Dispatch) -> str:
        """Link to what the run reported as its address."""
        return display.outside_link(row.url)

    @shown(_("Commit"))
    def shown_commit(self, row: Dispatch) -> str:
        """Show the commit that is released."""
        return display.sha(row.sha)

    @shown(_("Inputs"))
    def shown_inputs(self, row: Dispatch) -> str:
        """Show what the workflow was told."""
        return display.facts(row.inputs)

    @shown(_("Secrets"))
    def shown_secrets(self, row: Dispatch) -> str:
        """Show the names of the secrets that it needs."""
        return display.facts(row.secret_keys)

    @shown(_("Images"))
    def shown_images(self, row: Dispatch) -> str:
        """Show the digests of the images that it reported."""
        return display.facts(row.images)

    @shown(_("Log tail"))
    def shown_log(self, row: Dispatch) -> str:
        """Show where it failed and the end of what was printed there."""
        log = row.log or {}
        head = ", ".join(log[name] for name in ("job", "step") if log.get(name))
        return display.log(f"{head}\n{log.get('excerpt', '')}" if log else "")
