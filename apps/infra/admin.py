"""Pages of servers and of what was deployed to them."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, Section, list_operation, operation, shown
from apps.infra import services
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServiceDeployment

MAX_ALLOCATIONS_SHOWN = 200


@admin.register(Server)
class ServerAdmin(HistoryAdmin):
    """Servers, the room on them, and the ports given out."""

    list_display = ("name", "shown_status", "kind", "host", "shown_ports", "live_count", "created_at")
    list_filter = ("status", "kind")
    search_fields = ("name", "host")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": (("name", "status_label", "kind"), ("host", "shown_ports", "live_count"))}),
        (_("Times"), {"fields": (("created_at", "status_changed_at"),)}),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the ports and the live releases in the same query."""
        live = Count("deployments", filter=Q(deployments__status=DeploymentStatus.LIVE), distinct=True)
        used = Count("allocations", distinct=True)
        rows: QuerySet[Any] = super().get_queryset(request).annotate(live_total=live, used_total=used)
        return rows

    @shown(_("Live releases"), ordering="live_total")
    def live_count(self, server: Any) -> int:
        """Show how many releases answer on it."""
        return int(server.live_total)

    @shown(_("Ports in use"), ordering="used_total")
    def shown_ports(self, server: Any) -> str:
        """Show how many ports are given out, and of which range."""
        return f"{server.used_total} ({server.port_range_start}–{server.port_range_end})"

    @override
    def sections(self, row: Server) -> Iterable[Section]:
        """Show the ports that are given out."""
        rows = row.allocations.select_related("deployment").order_by("port")[:MAX_ALLOCATIONS_SHOWN]
        yield Section(
            title=_("Ports"),
            headers=(_("Port"), _("Deployment"), _("Status"), _("URL"), _("Allocated")),
            rows=[
                (
                    str(allocation.port),
                    *_holder(allocation),
                    display.moment(allocation.allocated_at),
                )
                for allocation in rows
            ],
        )


@admin.register(ServiceDeployment)
class ServiceDeploymentAdmin(HistoryAdmin):
    """Deployments: releases of services, where they answer, and what was observed."""

    list_display = (
        "__str__",
        "shown_status",
        "shown_url",
        "shown_task",
        "server",
        "failure_code",
        "created_at",
    )
    list_select_related = ("server",)
    list_filter = ("status", "server", "created_at")
    search_fields = (
        "id__startswith",
        "project_slug",
        "service_name",
        "task_id__startswith",
        "project_id__startswith",
        "commit_sha",
        "url",
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("stop_selected",)
    actions_detail = ("stop", "cancel")
    offered: ClassVar = {
        "stop": {DeploymentStatus.LIVE},
        "cancel": {DeploymentStatus.PENDING, DeploymentStatus.INSTALLING, DeploymentStatus.STARTING},
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_port"),
                    "shown_url",
                    ("shown_project", "service_name", "shown_task"),
                    "shown_failure",
                )
            },
        ),
        (_("Evidence"), {"fields": ("shown_evidence", "shown_log")}),
        (
            _("Release"),
            {
                "fields": (
                    ("server", "shown_commit", "data_directory"),
                    ("shown_setup", "shown_run", "health_path"),
                    ("installs", "starts"),
                )
            },
        ),
        (
            _("Times"),
            {
                "fields": (
                    ("created_at", "installed_at", "live_at"),
                    ("observed_at", "finished_at", "removed_at"),
                )
            },
        ),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceDeployment]:
        """Leave the encrypted environment in the database."""
        return super().get_queryset(request).defer("environment").select_related("server", "allocation")

    @shown(_("URL"), ordering="url")
    def shown_url(self, deployment: ServiceDeployment) -> str:
        """Link to the service while it is live; an address that answers no more is plain text."""
        if deployment.status != DeploymentStatus.LIVE:
            return deployment.url or display.NOTHING
        return display.outside_link(deployment.url)

    @shown(_("Port"))
    def shown_port(self, deployment: ServiceDeployment) -> str:
        """Show the port while it is given out."""
        allocation = getattr(deployment, "allocation", None)
        return str(allocation.port) if allocation else display.NOTHING

    @shown(_("Task"))
    def shown_task(self, deployment: ServiceDeployment) -> str:
        """Link to the task."""
        return display.link("projects_task", deployment.task_id)

    @shown(_("Project"))
    def shown_project(self, deployment: ServiceDeployment) -> str:
        """Link to the project."""
        return display.link("projects_project", deployment.project_id, deployment.project_slug)

    @shown(_("Commit"))
    def shown_commit(self, deployment: ServiceDeployment) -> str:
        """Show the commit that was released."""
        return display.sha(deployment.commit_sha)

    @shown(_("Set-up command"))
    def shown_setup(self, deployment: ServiceDeployment) -> str:
        """Show how it is installed."""
        return display.code(deployment.setup_command)

    @shown(_("Run command"))
    def shown_run(self, deployment: ServiceDeployment) -> str:
        """Show how it is started."""
        return display.code(deployment.run_command)

    @shown(_("Failure"))
    def shown_failure(self, deployment: ServiceDeployment) -> str:
        """Show why it did not become live."""
        return display.failure(deployment.failure)

    @shown(_("Failure"))
    def failure_code(self, deployment: ServiceDeployment) -> str:
        """Show the code of the failure."""
        return display.failure_word(deployment.failure)

    @shown(_("Evidence"))
    def shown_evidence(self, deployment: ServiceDeployment) -> str:
        """Show what was observed."""
        return display.facts(deployment.evidence)

    @shown(_("Log tail"))
    def shown_log(self, deployment: ServiceDeployment) -> str:
        """Show the last lines it wrote."""
        return display.log(deployment.log_tail)

    @operation(
        _("Stop"),
        question=_("The service stops answering at its URL. Its data stays."),
        confirm=_("Yes, stop it"),
        icon="stop_circle",
        dangerous=True,
    )
    def stop(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask that this live release stops."""
        return self.operate(request, object_id, act=_stop, done=_("The deployment is being stopped."))

    @operation(
        _("Cancel"),
        question=_("The release never becomes live; what is live now stays."),
        confirm=_("Yes, cancel it"),
        icon="cancel",
        dangerous=True,
    )
    def cancel(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask that this release never becomes live."""

        def act(deployment: ServiceDeployment) -> None:
            services.cancel_deployment(deployment_id=deployment.pk)

        return self.operate(request, object_id, act=act, done=_("The deployment is being canceled."))

    @list_operation(_("Stop"))
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[ServiceDeployment]) -> None:
        """Ask that every ticked release stops."""
        self.operate_on_each(request, queryset, act=_stop, done=_("The deployment is being stopped."))


def _holder(allocation: PortAllocation) -> tuple[Any, Any, Any]:
    """Tell who has a port: a release, or a project for good."""
    release = allocation.deployment
    if release is None:
        project = display.link("projects_project", allocation.project_id, allocation.role or None)
        return project, display.NOTHING, display.NOTHING
    link = display.link("infra_servicedeployment", release.pk, str(release))
    return link, display.status(release), display.outside_link(release.url)


def _stop(deployment: ServiceDeployment) -> None:
    services.stop_deployment(deployment_id=deployment.pk)
