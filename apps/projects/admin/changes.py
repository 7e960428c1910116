"""Pages of proposed changes."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.admin_columns import RowColumns
from apps.projects.models import MergeRequest


@admin.register(MergeRequest)
class MergeRequestAdmin(RowColumns, HistoryAdmin):
    """Merge requests: bundles of commits on their way into the default branch."""

    list_display = (
        "shown_title",
        "shown_status",
        "shown_project",
        "shown_task",
        "branch",
        "shown_head",
        "failure_code",
        "created_at",
    )
    list_select_related = ("project",)
    list_filter = ("status", "created_at")
    search_fields = ("id__startswith", "title", "branch", "project__slug", "head_sha", "merge_sha")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_project", "shown_task"),
                    "title",
                    "shown_failure",
                )
            },
        ),
        (
            _("Commits"),
            {
                "fields": (
                    ("branch", "attempts", "shown_origin"),
                    ("shown_base", "shown_head", "shown_merge"),
                )
            },
        ),
        (
            _("Pull request"),
            {
                "fields": (
                    ("shown_pull_request", "proposed_at", "reruns"),
                    ("shown_checks", "shown_evidence"),
                    ("poll_at", "tidy_at", "tidied_at"),
                )
            },
        ),
        (_("Inspection"), {"fields": ("shown_report", ("bundle_name", "shown_checksum"))}),
        (_("Times"), {"fields": (("created_at", "merged_at"), ("deadline_at", "heartbeat_at"))}),
    )

    @shown(_("Title"), ordering="title")
    def shown_title(self, change: MergeRequest) -> str:
        """Show the title on one line."""
        return display.beginning(change.title)

    @shown(_("Base"))
    def shown_base(self, change: MergeRequest) -> str:
        """Show what it is based on."""
        return display.sha(change.base_sha)

    @shown(_("Head"))
    def shown_head(self, change: MergeRequest) -> str:
        """Show the proposed commit."""
        return display.sha(change.head_sha)

    @shown(_("Merged as"))
    def shown_merge(self, change: MergeRequest) -> str:
        """Show the commit that was read back from the forge."""
        return display.sha(change.merge_sha)

    @shown(_("Rebase of"))
    def shown_origin(self, change: MergeRequest) -> str:
        """Link to the change whose commits this one replays."""
        if change.rebase_of_id is None:
            return display.NOTHING
        return display.link("projects_mergerequest", change.rebase_of_id)

    @shown(_("Pull request"))
    def shown_pull_request(self, change: MergeRequest) -> str:
        """Link to the pull request at the git host."""
        if not change.pull_request_url:
            return display.NOTHING
        return display.outside_link(change.pull_request_url)

    @shown(_("Checks of the git host"))
    def shown_checks(self, change: MergeRequest) -> str:
        """Show what the host's checks said last."""
        return display.facts(change.checks)

    @shown(_("Own verification"))
    def shown_evidence(self, change: MergeRequest) -> str:
        """Show what our own verification found."""
        return display.facts(change.evidence)

    @shown(_("Bundle's checksum"))
    def shown_checksum(self, change: MergeRequest) -> str:
        """Show the checksum of the worker's bundle."""
        return display.sha(change.bundle_sha256)

    @shown(_("Report"))
    def shown_report(self, change: MergeRequest) -> str:
        """Show what the inspection saw."""
        return display.facts(change.report)
