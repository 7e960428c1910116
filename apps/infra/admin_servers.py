"""Pages of servers: what is known of them, the room on them, what may be asked of them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import Section, first_of, shown
from apps.infra import admin_metrics, identities, servers
from apps.infra.admin_drills import archives_of
from apps.infra.admin_provisioning import ServerOperations, attempts_of
from apps.infra.admin_server_form import ServerForm, words_of
from apps.infra.models import DeploymentStatus, IdentityPurpose, PortAllocation, Server, ServerKind

MAX_ALLOCATIONS_SHOWN = 50


@admin.register(Server)
class ServerAdmin(ServerOperations):
    """Servers, the room on them, and the ports given out."""

    form = ServerForm
    list_display = ("name", "shown_status", "kind", "host", "shown_ports", "live_count", "created_at")
    list_filter = ("status", "kind", "provider", "health")
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
        place = ("name", ("host", "ssh_port"), ("ssh_user", "admin_user"), "host_key")
        ports = (("port_range_start", "port_range_end"),)
        secrets = ("new_identity", "new_admin_password", "new_admin_identity") if may_write else ()
        if obj is None:
            return ((None, {"fields": ("needs_setup", *place, *secrets, *ports)}),)
        known = (
            *(("status_label", "health", "kind"), ("provider", "provider_id", "system")),
            *(("cpus", "memory_mb", "disk_mb"), ("shown_ports", "live_count", "has_key")),
        )
        if obj.kind == ServerKind.LOCAL:
            # Nobody logs in to it, and nobody sets it up or looks at it.
            here = (("status_label", "kind", "host"), ("shown_ports", "live_count"), *ports)
            when = (("created_at", "status_changed_at"),)
            return ((None, {"fields": here}), (_("Times"), {"fields": when}))
        times = (("created_at", "status_changed_at"), ("provisioned_at", "checked_at", "last_seen_at"))
        asked = (None, {"fields": (*place, *secrets, *ports)})
        return ((None, {"fields": known}), asked, (_("Times"), {"fields": times}))

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Server | None = None) -> Any:
        """Keep what the system writes."""
        if obj is None:
            return ()
        return (
            *("status_label", "health", "kind", "provider", "provider_id", "system"),
            *("cpus", "memory_mb", "disk_mb", "shown_ports", "live_count", "has_key"),
            *("created_at", "status_changed_at", "provisioned_at", "checked_at", "last_seen_at"),
        )

    @override
    def save_model(self, request: HttpRequest, obj: Server, form: Any, change: bool) -> None:
        """Write through the service that owns these rows."""
        words = words_of(form.cleaned_data, obj)
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
        """Show its set-ups, and the ports that are given out."""
        if row.kind == ServerKind.SSH:
            yield attempts_of(row)
        if row.provisioned_at is not None:
            yield archives_of(row)
        held = row.allocations.select_related("deployment").order_by("port")
        rows, more = first_of(held, MAX_ALLOCATIONS_SHOWN, "infra_servicedeployment", server=row.pk)
        yield Section(
            title=_("Ports"),
            more=more,
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
