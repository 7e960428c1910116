"""Pages that operators act on: agent configurations and dead letters."""

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, RowAdmin, list_operation, operation, shown
from apps.workers import agent_configs, dead_letters
from apps.workers.models import AgentConfig, DeadLetter, DeadLetterStatus


@admin.register(AgentConfig)
class AgentConfigAdmin(RowAdmin):
    """Agent configurations: the one thing here that operators edit."""

    list_display = ("name", "agent_type", "model", "is_active", "updated_at")
    list_filter = ("agent_type", "is_active")
    search_fields = ("name", "model")
    ordering = ("name",)
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (None, {"fields": (("name", "is_active"), ("agent_type", "model"), "system_prompt")}),
        (_("Limits"), {"fields": (("memory_mb", "cpus"),)}),
        (_("Times"), {"fields": (("created_at", "updated_at"),)}),
    )

    @override
    def save_model(self, request: HttpRequest, obj: AgentConfig, form: Any, change: bool) -> None:
        """Write through the module that owns these rows."""
        fields = {name: form.cleaned_data[name] for name in form.changed_data}
        if change:
            agent_configs.update(config_id=obj.pk, **fields)
        else:
            obj.pk = agent_configs.create(**form.cleaned_data).pk


@admin.register(DeadLetter)
class DeadLetterAdmin(HistoryAdmin):
    """Dead letters: entries that nobody could read, whole."""

    list_display = ("__str__", "shown_status", "shown_worker", "shown_reason", "created_at")
    list_filter = ("status", "created_at")
    search_fields = ("worker_id__startswith", "stream", "entry_id", "reason")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("replay_selected", "discard_selected")
    actions_detail = ("replay", "discard")
    offered: ClassVar = {"replay": {DeadLetterStatus.PENDING}, "discard": {DeadLetterStatus.PENDING}}
    fieldsets = (
        (None, {"fields": (("status_label", "shown_worker", "created_at"), "reason")}),
        (_("Entry"), {"fields": (("stream", "entry_id"), "shown_payload")}),
    )

    @shown(_("Worker"))
    def shown_worker(self, letter: DeadLetter) -> str:
        """Link to the worker."""
        return display.link("workers_worker", letter.worker_id)

    @shown(_("Reason"))
    def shown_reason(self, letter: DeadLetter) -> str:
        """Show the beginning of the reason."""
        return display.beginning(letter.reason)

    @shown(_("Payload"))
    def shown_payload(self, letter: DeadLetter) -> str:
        """Show the entry's fields, indented where they are JSON."""
        try:
            text = json.dumps(json.loads(letter.payload), indent=2, ensure_ascii=False)
        except ValueError:
            text = letter.payload
        return display.log(text)

    @operation(
        _("Replay"),
        question=_("The entry is read and applied again."),
        confirm=_("Yes, replay it"),
        icon="replay",
    )
    def replay(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Read this entry again."""
        return self.operate(request, object_id, act=_replay, done=_("The entry was applied."))

    @operation(
        _("Discard"),
        question=_("The entry is set aside for good; its words stay readable."),
        confirm=_("Yes, discard it"),
        icon="delete",
        dangerous=True,
    )
    def discard(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Set this entry aside."""
        return self.operate(request, object_id, act=_discard, done=_("The entry was discarded."))

    @list_operation(_("Replay"))
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Read every ticked entry again."""
        self.operate_on_each(request, queryset, act=_replay, done=_("The entry was applied."))

    @list_operation(_("Discard"))
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Set every ticked entry aside."""
        self.operate_on_each(request, queryset, act=_discard, done=_("The entry was discarded."))


def _replay(letter: DeadLetter) -> None:
    dead_letters.replay(letter_id=letter.pk)


def _discard(letter: DeadLetter) -> None:
    dead_letters.discard(letter_id=letter.pk)
