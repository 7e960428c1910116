"""Pages of what workers delivered and of its proof: turns and verifications."""

from collections.abc import Iterable

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import Section, shown
from apps.workers.admin import transcripts
from apps.workers.admin.rows import TaskRowAdmin
from apps.workers.models import Turn, Verification


@admin.register(Turn)
class TurnAdmin(TaskRowAdmin):
    """Turns: one prompt and its one result."""

    list_display = (
        "short_id",
        "shown_status",
        "number",
        "shown_worker",
        "shown_task",
        "failure_code",
        "shown_commit",
        "shown_duration",
        "created_at",
    )
    list_filter = ("status", "created_at")
    search_fields = ("id__startswith", "worker__id__startswith", "task_id__startswith", "commit_sha")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_worker", "number"),
                    ("shown_task", "shown_project"),
                    "shown_failure",
                    "shown_summary",
                )
            },
        ),
        (
            _("Claimed result"),
            {
                "fields": (
                    ("shown_commit", "branch", "exit_code"),
                    ("shown_duration", "timeout_seconds"),
                    "shown_usage",
                )
            },
        ),
        (_("Prompt"), {"fields": ("shown_prompt",)}),
        (_("Times"), {"fields": (("created_at", "sent_at"), ("finished_at", "deadline_at"))}),
    )

    @override
    def sections(self, row: Turn) -> Iterable[Section]:
        """Show what was said."""
        yield transcripts.of_turn(row)

    @shown(_("Worker"))
    def shown_worker(self, turn: Turn) -> str:
        """Link to the worker."""
        return display.link("workers_worker", turn.worker_id)

    @shown(_("Commit"))
    def shown_commit(self, turn: Turn) -> str:
        """Show the commit that is claimed."""
        return display.sha(turn.commit_sha)

    @shown(_("Took"), ordering="duration_ms")
    def shown_duration(self, turn: Turn) -> str:
        """Show how long the agent worked."""
        return display.seconds(None if turn.duration_ms is None else turn.duration_ms / 1_000)

    @shown(_("Summary"))
    def shown_summary(self, turn: Turn) -> str:
        """Show the agent's own words."""
        return display.text_block(turn.summary)

    @shown(_("Usage"))
    def shown_usage(self, turn: Turn) -> str:
        """Show tokens and cost as far as known."""
        return display.facts(turn.usage)

    @shown(_("Prompt"))
    def shown_prompt(self, turn: Turn) -> str:
        """Show what was asked."""
        return display.text_block(turn.prompt)


@admin.register(Verification)
class VerificationAdmin(TaskRowAdmin):
    """Verifications: what was observed when a commit's checks ran in a fresh place."""

    list_display = (
        "__str__",
        "shown_status",
        "shown_task",
        "shown_tests",
        "failure_code",
        "shown_duration",
        "created_at",
    )
    list_filter = ("status", "created_at")
    search_fields = ("id__startswith", "task_id__startswith", "project_id__startswith", "head_sha")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_tests", "shown_duration"),
                    ("shown_task", "shown_project"),
                    "shown_failure",
                )
            },
        ),
        (_("Evidence"), {"fields": ("shown_evidence", "shown_log")}),
        (
            _("What was checked"),
            {
                "fields": (
                    ("shown_base", "shown_head", "allow_removed_tests"),
                    "shown_commands",
                    "shown_protected",
                )
            },
        ),
        (
            _("Times"),
            {"fields": (("created_at", "started_at", "finished_at"), ("deadline_at", "attempts"))},
        ),
    )

    @shown(_("Tests"))
    def shown_tests(self, verification: Verification) -> str:
        """Show passed of all."""
        record = verification.evidence or {}
        return f"{record['passed']} / {record['total']}" if {"passed", "total"} <= set(record) else "–"

    @shown(_("Took"))
    def shown_duration(self, verification: Verification) -> str:
        """Show how long it took."""
        return display.between(verification.started_at, verification.finished_at)

    @shown(_("Evidence"))
    def shown_evidence(self, verification: Verification) -> str:
        """Show everything that was observed."""
        return display.facts(verification.evidence)

    @shown(_("Base"))
    def shown_base(self, verification: Verification) -> str:
        """Show the commit that manifest and commands come from."""
        return display.sha(verification.base_sha)

    @shown(_("Head"))
    def shown_head(self, verification: Verification) -> str:
        """Show the commit that was checked."""
        return display.sha(verification.head_sha)

    @shown(_("Commands"))
    def shown_commands(self, verification: Verification) -> str:
        """Show the commands of the base's manifest."""
        return display.facts(verification.commands)

    @shown(_("Protected paths"))
    def shown_protected(self, verification: Verification) -> str:
        """Show the paths that were taken from the base."""
        return display.facts(verification.protected)
