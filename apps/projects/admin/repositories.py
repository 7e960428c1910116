"""Pages of repositories: what the git hosts list, known or not."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.projects.models import HostedRepository


class KnownFilter(admin.SimpleListFilter):
    """Repositories of projects, or those that nobody here knows."""

    title = _("Known")
    parameter_name = "known"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        """Offer both."""
        return [("yes", _("Of a project")), ("no", _("Unknown"))]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """Apply the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(project__isnull=self.value() == "no")


@admin.register(HostedRepository)
class HostedRepositoryAdmin(HistoryAdmin):
    """Repositories at the git hosts; the listing alone writes them, and nothing is done to the unknown."""

    list_display = ("name", "shown_status", "shown_project", "forge", "shown_url", "last_seen_at")
    list_filter = ("status", KnownFilter, "forge")
    list_select_related = ("project",)
    search_fields = ("name", "repository_id", "project__slug", "project__name")
    ordering = ("-first_seen_at",)
    fields = (
        ("name", "status_label"),
        ("forge", "repository_id", "shown_project"),
        "shown_url",
        ("first_seen_at", "last_seen_at"),
        ("missed_listings", "missing_since"),
    )

    @shown(_("Project"))
    def shown_project(self, row: HostedRepository) -> str:
        """Link to the project, or say that nobody knows it."""
        if row.project is None:
            return str(_("Unknown"))
        return display.link("projects_project", row.project_id, row.project.slug)

    @shown(_("URL"))
    def shown_url(self, row: HostedRepository) -> str:
        """Link to it at its host."""
        return display.outside_link(row.url)
