"""Pages of what was deployed, and where it answers; those of servers are in a module of their own."""

from typing import ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, list_operation, operation, shown
from apps.admin_columns import RowColumns
from apps.infra import services
from apps.infra.admin_incidents import IncidentAdmin
from apps.infra.admin_servers import ServerAdmin
from apps.infra.models import DeploymentStatus, ServiceDeployment

__all__ = ["IncidentAdmin", "ServerAdmin", "ServiceDeploymentAdmin"]


@admin.register(ServiceDeployment)
class ServiceDeploymentAdmin(RowColumns, HistoryAdmin):
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
    list_filter = ("status", "target", "kind", "server", "created_at")
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
                    ("server", "target", "kind"),
                    ("shown_commit", "contract_version", "environment_digest"),
                    ("shown_setup", "shown_run", "health_path"),
                    ("shown_images", "rollback_of", "data_directory"),
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

    @shown(_("Project"))
    def shown_project(self, deployment: ServiceDeployment) -> str:
        """Link to the project."""
        return display.link("projects_project", deployment.project_id, deployment.project_slug)

    @shown(_("Commit"))
    def shown_commit(self, deployment: ServiceDeployment) -> str:
        """Show the commit that was released."""
        return display.sha(deployment.commit_sha)

    @shown(_("Images"))
    def shown_images(self, deployment: ServiceDeployment) -> str:
        """Show the digests of the images."""
        return display.facts(deployment.images or None)

    @shown(_("Set-up command"))
    def shown_setup(self, deployment: ServiceDeployment) -> str:
        """Show how it is installed."""
        return display.code(deployment.setup_command)

    @shown(_("Run command"))
    def shown_run(self, deployment: ServiceDeployment) -> str:
        """Show how it is started."""
        return display.code(deployment.run_command)

    @shown(_("Evidence"))
    def shown_evidence(self, deployment: ServiceDeployment) -> str:
        """Show what was observed."""
        return display.facts(deployment.evidence)

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


def _stop(deployment: ServiceDeployment) -> None:
    services.stop_deployment(deployment_id=deployment.pk)
