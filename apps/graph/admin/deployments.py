"""The page of deployments with what only this app can do: go back to an earlier release."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.admin_base import operation
from apps.graph import rollbacks
from apps.infra.admin import ServiceDeploymentAdmin
from apps.infra.models import DeploymentStatus, ServiceDeployment

admin.site.unregister(ServiceDeployment)


@admin.register(ServiceDeployment)
class DeploymentAdmin(ServiceDeploymentAdmin):
    """Deployments: releases of services, where they answer, and the way back."""

    actions_detail: Any = (*ServiceDeploymentAdmin.actions_detail, "rollback")
    offered: ClassVar = {
        **ServiceDeploymentAdmin.offered,
        "rollback": {DeploymentStatus.LIVE, DeploymentStatus.STOPPED},
    }

    @operation(
        _("Roll back"),
        question=_(
            "From a live release the project goes back to the one before; to an earlier one it returns."
        ),
        confirm=_("Yes, go back"),
        icon="undo",
    )
    def rollback(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Go back to an earlier release and show the task."""

        def act(deployment: ServiceDeployment) -> str:
            task_id = rollbacks.request_rollback(
                deployment_id=deployment.pk, requested_by_id=cast(int, request.user.pk)
            )
            return reverse("admin:projects_task_change", args=[task_id])

        return self.operate(request, object_id, act=act, done=_("The project is going back."))
