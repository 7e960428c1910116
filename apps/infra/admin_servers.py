"""Pages of servers, with the form of those reached by SSH; a key goes in and never comes out."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminTextareaWidget

from apps import admin_display as display
from apps.admin_base import RowAdmin, Section, shown
from apps.infra import admin_metrics, identities, servers
from apps.infra.models import DeploymentStatus, IdentityPurpose, PortAllocation, Server, ServerKind

if TYPE_CHECKING:
    ServerModelForm = forms.ModelForm[Server]
else:
    ServerModelForm = forms.ModelForm

MAX_ALLOCATIONS_SHOWN = 200
_WORDS = ("name", "host", "ssh_port", "ssh_user", "host_key", "port_range_start", "port_range_end")


class ServerForm(ServerModelForm):
    """Takes a server reached by SSH; the present key is not read."""

    new_identity = forms.CharField(
        label=_("Private key"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Nobody can read it afterwards; empty keeps the one that is stored."),
    )

    class Meta:
        model = Server
        fields = _WORDS

    @override
    def clean(self) -> dict[str, Any]:
        """Refuse what the service would refuse, beside its field."""
        data = super().clean() or self.cleaned_data
        if not self.errors:
            for field, problem in servers.problems_of(words_of(data)).items():
                name = "new_identity" if field == "identity" else field
                if problem and name in self.fields:
                    self.add_error(name, problem)
        return data


def words_of(data: dict[str, Any]) -> servers.ServerWords:
    """Return what a filled form says."""
    key = (data.get("new_identity") or "").replace("\r\n", "\n").strip()
    said = {name: data[name].strip() if isinstance(data[name], str) else data[name] for name in _WORDS}
    return servers.ServerWords(**said, identity=f"{key}\n" if key else "")


@admin.register(Server)
class ServerAdmin(RowAdmin):
    """Servers, the room on them, and the ports given out."""

    form = ServerForm
    list_display = ("name", "shown_status", "kind", "host", "shown_ports", "live_count", "created_at")
    list_filter = ("status", "kind")
    search_fields = ("name", "host")
    ordering = ("name",)
    actions = None
    change_form_outer_before_template = "orchestrator/admin/charts.html"

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the ports and the live releases in the same query; leave the secret in the database."""
        live = Count("deployments", filter=Q(deployments__status=DeploymentStatus.LIVE), distinct=True)
        used = Count("allocations", distinct=True)
        rows: QuerySet[Any] = super().get_queryset(request).defer("admin_password")
        rows = rows.annotate(live_total=live, used_total=used)
        return rows

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: releases and ports refer to it."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let only servers reached by SSH be changed; this machine's row is the settings' business."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or getattr(obj, "kind", "") == ServerKind.SSH)

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Server | None = None) -> Any:
        """Ask for what is missing; show what the system knows only of a row that is there."""
        may_write = obj is None or self.has_change_permission(request, obj)
        place = ("name", ("host", "ssh_port", "ssh_user"), "host_key")
        ports = (("port_range_start", "port_range_end"),)
        asked = (None, {"fields": (*place, *(("new_identity",) if may_write else ()), *ports)})
        if obj is None:
            return (asked,)
        known = (None, {"fields": (("status_label", "kind"), ("shown_ports", "live_count", "has_key"))})
        return (known, asked, (_("Times"), {"fields": (("created_at", "status_changed_at"),)}))

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Server | None = None) -> Any:
        """Keep what the system writes."""
        if obj is None:
            return ()
        return (
            "status_label",
            "kind",
            "shown_ports",
            "live_count",
            "has_key",
            "created_at",
            "status_changed_at",
        )

    @override
    def save_model(self, request: HttpRequest, obj: Server, form: Any, change: bool) -> None:
        """Write through the service that owns these rows."""
        words = words_of(form.cleaned_data)
        obj.pk = servers.save_server(server_id=obj.pk if change else None, words=words)

    @shown(_("Live releases"), ordering="live_total")
    def live_count(self, server: Any) -> int:
        """Show how many releases answer on it."""
        return int(server.live_total)

    @shown(_("Ports in use"), ordering="used_total")
    def shown_ports(self, server: Any) -> str:
        """Show how many ports are given out, and of which range."""
        return f"{server.used_total} ({server.port_range_start}–{server.port_range_end})"

    @shown(_("Private key"))
    def has_key(self, server: Server) -> str:
        """Tell whether one is stored."""
        key = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
        return str(_("Stored")) if key else display.NOTHING

    @override
    def details(self, row: Server) -> dict[str, Any]:
        """Draw what was measured of it, and show the last of it beside its room."""
        rows = admin_metrics.measurements(row)
        sections = [admin_metrics.table(row, rows), *self.sections(row)]
        return {"charts": admin_metrics.charts(rows), "sections": sections}

    @override
    def sections(self, row: Server) -> Iterable[Section]:
        """Show the ports that are given out."""
        rows = row.allocations.select_related("deployment").order_by("port")[:MAX_ALLOCATIONS_SHOWN]
        yield Section(
            title=_("Ports"),
            headers=(_("Port"), _("Deployment"), _("Status"), _("URL"), _("Allocated")),
            rows=[
                (str(allocation.port), *_holder(allocation), display.moment(allocation.allocated_at))
                for allocation in rows
            ],
        )


def _holder(allocation: PortAllocation) -> tuple[Any, Any, Any]:
    """Tell who has a port: a release, or a project for good."""
    release = allocation.deployment
    if release is None:
        project = display.link("projects_project", allocation.project_id, allocation.role or None)
        return project, display.NOTHING, display.NOTHING
    link = display.link("infra_servicedeployment", release.pk, str(release))
    return link, display.status(release), display.outside_link(release.url)
