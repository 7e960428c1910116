"""Pages of workers."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import Section, first_of, list_operation, operation, shown
from apps.workers import liveness_words, selectors, services
from apps.workers.admin import transcripts
from apps.workers.admin.downloads import SnapshotDownloads, snapshots_section
from apps.workers.models import Verdict, Worker, WorkerStatus

MAX_TURNS_SHOWN = 20


@admin.register(Worker)
class WorkerAdmin(SnapshotDownloads):
    """Workers: the container as wished for, as observed, and how it ended."""

    list_display = (
        "short_id",
        "shown_status",
        "agent_type",
        "worker_type",
        "shown_task",
        "turn_count",
        "shown_verdict",
        "failure_code",
        "created_at",
    )
    list_filter = ("status", "verdict", "agent_type", "worker_type", "created_at")
    search_fields = ("id__startswith", "task_id__startswith", "project_id__startswith", "branch")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("stop_selected",)
    actions_detail = ("stop",)
    offered: ClassVar = {
        "stop": frozenset(Worker.TRANSITIONS) - Worker.final_statuses() - {WorkerStatus.CANCELING}
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "agent_type", "worker_type"),
                    ("shown_task", "shown_run", "shown_project"),
                    ("shown_place", "shown_limits"),
                    "shown_failure",
                )
            },
        ),
        (
            _("Observed"),
            {
                "fields": (
                    ("shown_liveness", "verdict_since"),
                    ("heartbeat_at", "observed_at", "deadline_at"),
                    "shown_heartbeat",
                    ("exit_code", "oom_killed", "shown_life"),
                    "image_digest",
                    "shown_log",
                )
            },
        ),
        (
            _("Work"),
            {"fields": (("branch", "base_branch", "shown_base"), "shown_commands", "shown_instructions")},
        ),
        (
            _("Times"),
            {
                "fields": (
                    ("created_at", "started_at", "finished_at"),
                    ("released_at", "stop_asked_at", "paused_at"),
                    ("ended_at", "drained_at", "removed_at"),
                    "work_lost_since",
                )
            },
        ),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the turns in the same query."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(turn_total=Count("turns"))
        return rows

    @shown(_("Turns"), ordering="turn_total")
    def turn_count(self, worker: Any) -> int:
        """Show how many prompts it was given."""
        return int(worker.turn_total)

    @shown(_("Run"))
    def shown_run(self, worker: Worker) -> str:
        """Link to the run."""
        return display.link("graph_run", worker.run_id)

    @shown(_("Place in line"))
    def shown_place(self, worker: Worker) -> str:
        """Show where it stands while it waits for a place."""
        place = selectors.get_queue_place(worker_id=worker.pk)
        if place is None:
            return display.NOTHING
        wait = display.seconds(place.estimated_wait_seconds)
        return gettext("%(position)s of %(length)s, about %(wait)s") % {
            "position": place.position,
            "length": place.length,
            "wait": wait,
        }

    @shown(_("Limits"))
    def shown_limits(self, worker: Worker) -> str:
        """Show what it may use."""
        memory = worker.config.get("memory_mb") or settings.WORKERS_MEMORY_MB
        return f"{memory} MiB · {worker.config.get('cpus') or settings.WORKERS_CPUS:g} CPU"

    @shown(_("Liveness"), ordering="verdict")
    def shown_verdict(self, worker: Worker) -> str:
        """Show how alive it is."""
        return display.label(worker.verdict, str(Verdict(worker.verdict).label))

    @shown(_("Liveness"))
    def shown_liveness(self, worker: Worker) -> str:
        """Show how alive it is, and what that rests on."""
        return liveness_words.text_of(worker)

    @shown(_("Heartbeat"))
    def shown_heartbeat(self, worker: Worker) -> str:
        """Show the wrapper's last word."""
        return display.facts(worker.heartbeat)

    @shown(_("Lived"))
    def shown_life(self, worker: Worker) -> str:
        """Show how long it worked."""
        return display.between(worker.started_at, worker.finished_at)

    @shown(_("Base commit"))
    def shown_base(self, worker: Worker) -> str:
        """Show what it started from."""
        return display.sha(worker.base_sha)

    @shown(_("Allowed commands"))
    def shown_commands(self, worker: Worker) -> str:
        """Show what it may ask of the API."""
        return ", ".join(map(str, worker.allowed_commands)) or display.NOTHING

    @shown(_("Standing instructions"))
    def shown_instructions(self, worker: Worker) -> str:
        """Show what the agent is always told."""
        return display.text_block(str(worker.config.get("instructions", "")))

    @override
    def sections(self, row: Worker) -> Iterable[Section]:
        """Show its turns, the bundles it uploaded, and what was said."""
        newest = row.turns.order_by("-number")
        latest, more = first_of(newest, MAX_TURNS_SHOWN, "workers_turn", worker=row.pk)
        turns = [
            (
                display.link("workers_turn", turn.pk, str(turn.number)),
                display.status(turn),
                display.failure_word(turn.failure),
                display.sha(turn.commit_sha),
                display.seconds(None if turn.duration_ms is None else turn.duration_ms / 1_000),
                display.moment(turn.created_at),
            )
            for turn in latest
        ]
        yield Section(
            title=_("Turns"),
            headers=(_("Turn"), _("Status"), _("Failure"), _("Claimed commit"), _("Took"), _("Created")),
            rows=turns,
            more=more,
        )
        yield snapshots_section(row)
        yield transcripts.of_worker(row)

    @operation(
        _("Stop"),
        question=_("The worker is asked to stop. Work that it has not handed over may be lost."),
        confirm=_("Yes, stop it"),
        icon="stop_circle",
        dangerous=True,
    )
    def stop(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask for this worker's end."""

        def act(worker: Worker) -> None:
            services.cancel_worker(worker_id=worker.pk)

        return self.operate(request, object_id, act=act, done=_("The worker is being stopped."))

    @list_operation(_("Stop"))
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        """Ask for the end of every ticked worker."""

        def act(worker: Worker) -> None:
            services.cancel_worker(worker_id=worker.pk)

        self.operate_on_each(request, queryset, act=act, done=_("The worker is being stopped."))
