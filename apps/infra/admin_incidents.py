"""Pages of incidents: what is wrong, since when, and a button for who knows that it is over."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, operation, shown
from apps.infra import incidents
from apps.infra.models import Incident, IncidentStatus


@admin.register(Incident)
class IncidentAdmin(HistoryAdmin):
    """What is or was wrong with servers, providers and deployed projects."""

    list_display = ("message", "shown_status", "severity", "kind", "server", "count", "opened_at")
    list_filter = ("status", "severity", "kind")
    list_select_related = ("server",)
    search_fields = ("message", "key")
    ordering = ("-opened_at",)
    fields = (
        "message",
        ("status_label", "severity", "kind"),
        ("server", "shown_project"),
        ("count", "opened_at", "last_seen_at"),
        ("resolved_at", "resolved_by_id", "notified_at"),
        "shown_details",
    )
    actions_detail = ("resolve",)
    offered: ClassVar = {"resolve": (IncidentStatus.OPEN,)}

    @shown(_("Project"))
    def shown_project(self, incident: Incident) -> str:
        """Link to the project that it is about."""
        return display.link("projects_project", incident.project_id)

    @shown(_("Details"))
    def shown_details(self, incident: Incident) -> str:
        """Show what was observed."""
        return display.facts(incident.details)

    @operation(
        _("Resolve"),
        question=_("What is still wrong opens a new incident."),
        confirm=_("Resolve"),
        icon="task_alt",
    )
    def resolve(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Close it."""
        person_id = cast(Any, request.user).pk

        def act(incident: Incident) -> None:
            incidents.resolve_by_person(incident_id=incident.pk, person_id=person_id)

        return self.operate(request, object_id, act=act, done=_("Resolved."))
