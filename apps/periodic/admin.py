"""Pages of periodic jobs: when each ran last, what it did, and what went wrong."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.periodic.models import PeriodicJob

_LATE_INTERVALS = 3
_LATE_LEAST = timedelta(minutes=1)


@admin.register(PeriodicJob)
class PeriodicJobAdmin(HistoryAdmin):
    """Every periodic job with its last run."""

    list_display = (
        "name",
        "shown_outcome",
        "last_started_at",
        "shown_seconds",
        "shown_counts",
        "failures_in_a_row",
        "overlaps",
    )
    list_filter = ("last_outcome",)
    search_fields = ("name",)
    ordering = ("name",)
    fields = (
        ("name", "shown_entry"),
        ("last_started_at", "last_finished_at", "shown_seconds"),
        ("outcome_label", "runs", "failures_in_a_row", "overlaps"),
        "shown_counts",
        ("last_error_at", "shown_errors"),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the interval of each entry that is switched on in the same query."""
        entry = PeriodicTask.objects.filter(name=OuterRef("name"), enabled=True)
        rows: QuerySet[Any] = super().get_queryset(request)
        every, period = (entry.values(f"interval__{name}")[:1] for name in ("every", "period"))
        rows = rows.annotate(every=Subquery(every), period=Subquery(period))
        return rows

    @shown(_("Last run"), ordering="last_outcome", label=display.STATUS_COLORS)
    def shown_outcome(self, job: PeriodicJob) -> tuple[str, str]:
        """Draw how the last run ended; one that is overdue says so."""
        return _outcome(job)

    @shown(_("Last run"))
    def outcome_label(self, job: PeriodicJob) -> str:
        """Draw the same where unfold draws no labels."""
        return display.label(*_outcome(job))

    @shown(_("Duration"), ordering="last_seconds")
    def shown_seconds(self, job: PeriodicJob) -> str:
        """Show how long the last run took."""
        return display.seconds(job.last_seconds)

    @shown(_("What it did"))
    def shown_counts(self, job: PeriodicJob) -> str:
        """Show the figures of the last run; none is not zero."""
        if job.last_counts is None:
            return str(_("no data"))
        told = [f"{name.replace('_', ' ')}: {count}" for name, count in sorted(job.last_counts.items())]
        return ", ".join(told) or display.NOTHING

    @shown(_("Last errors"))
    def shown_errors(self, job: PeriodicJob) -> str:
        """Show what went wrong the last time that anything did."""
        return display.facts(job.last_errors)

    @shown(_("Schedule"))
    def shown_entry(self, job: PeriodicJob) -> str:
        """Link to the entry that an operator may change."""
        entry = PeriodicTask.objects.filter(name=job.name).first()
        return (
            display.link("django_celery_beat_periodictask", entry.pk, str(entry))
            if entry
            else display.NOTHING
        )


def _outcome(job: PeriodicJob) -> tuple[str, Any]:
    if job.last_started_at is None:
        return "pending", _("Never ran")
    if _is_late(job):
        return "missing", _("Late")
    return job.last_outcome, job.get_last_outcome_display() or _("Running")


def _is_late(job: Any) -> bool:
    if not job.every:
        return False
    patience = max(timedelta(**{job.period: job.every}) * _LATE_INTERVALS, _LATE_LEAST)
    return bool(job.last_started_at < timezone.now() - patience)
