"""Pages of what other packages brought along, in the look of ours: periodic tasks."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from typing_extensions import override
from unfold.widgets import SELECT_CLASSES, UnfoldAdminTextInputWidget

from apps.admin_base import HistoryAdmin, UnfoldModelAdmin, shown

if TYPE_CHECKING:

    class BeatAdmin(UnfoldModelAdmin):
        """Stands for a class without types."""

    class BeatForm(forms.ModelForm[Any]):
        """Stands for a class without types."""

else:
    BeatAdmin, BeatForm = beat.PeriodicTaskAdmin, beat.PeriodicTaskForm

for _model in (PeriodicTask, IntervalSchedule, CrontabSchedule, ClockedSchedule, SolarSchedule):
    admin.site.unregister(_model)


class PeriodicTaskForm(BeatForm):
    """Their form with our widgets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["regtask"].widget.attrs["class"] = " ".join(SELECT_CLASSES)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(BeatAdmin, UnfoldModelAdmin):
    """What beat starts; operators may change every cadence, and edits are kept."""

    form = PeriodicTaskForm
    date_hierarchy = None
    list_display = ("name", "task", "enabled", "interval", "crontab", "last_run_at", "total_run_count")
    list_filter = ("enabled", "one_off", "last_run_at")
    list_per_page = 50
    ordering = ("name",)


class ScheduleAdmin(UnfoldModelAdmin):
    """Schedules that periodic tasks refer to; they are reached from there."""

    list_per_page = 50

    @override
    def has_module_permission(self, request: HttpRequest) -> bool:
        """Keep schedules off the first page and out of the sidebar."""
        return False


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ScheduleAdmin):
    """Every so many seconds, minutes, hours or days."""

    list_display = ("__str__", "every", "period")


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ScheduleAdmin):
    """As in a crontab."""

    list_display = ("__str__", "human_readable")
    readonly_fields = ("human_readable",)
    fields = (
        "human_readable",
        ("minute", "hour"),
        ("day_of_month", "month_of_year", "day_of_week"),
        "timezone",
    )


@admin.register(ClockedSchedule, SolarSchedule)
class OtherScheduleAdmin(ScheduleAdmin):
    """Once, or by the sun."""


@admin.register(LogEntry)
class LogEntryAdmin(HistoryAdmin):
    """Who did what, here and by the API; nobody edits it."""

    list_display = ("action_time", "user", "shown_action", "shown_row", "shown_words")
    list_display_links = ("action_time",)
    list_filter = ("action_time", "action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("user__username", "object_repr", "object_id", "change_message")
    date_hierarchy = "action_time"
    ordering = ("-action_time",)
    fields = ("action_time", "user", "shown_action", "shown_row", "shown_words")

    @shown(_("Action"), ordering="action_flag")
    def shown_action(self, entry: LogEntry) -> str:
        """Show what kind of deed it was."""
        return str(entry.get_action_flag_display())

    @shown(_("What"))
    def shown_row(self, entry: LogEntry) -> str:
        """Link to the row, if it has a page."""
        address = entry.get_admin_url()
        if address is None or entry.is_deletion():
            return entry.object_repr
        return format_html('<a class="text-link" href="{}">{}</a>', address, entry.object_repr)

    @shown(_("Words"))
    def shown_words(self, entry: LogEntry) -> str:
        """Show what was said to have been done."""
        return entry.get_change_message()
