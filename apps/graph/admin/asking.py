"""The form that asks a project for work: it makes a task and starts it."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.admin_base import HistoryAdmin
from apps.graph import services
from apps.projects import services as projects
from apps.projects import validation
from apps.projects.models import ProjectStatus, Task, TaskType

if TYPE_CHECKING:
    TaskModelForm = forms.ModelForm[Task]
else:
    TaskModelForm = forms.ModelForm


class TaskForm(TaskModelForm):
    """What is asked, of which project."""

    class Meta:
        model = Task
        fields = ("project", "spec", "deploy_after")

    def clean_spec(self) -> str:
        """Take the words as the service would, without the line ends of browsers."""
        return validation.clean_text(str(self.cleaned_data["spec"]))

    @override
    def clean(self) -> dict[str, Any]:
        """Refuse what the services would refuse, beside its field."""
        data = super().clean() or self.cleaned_data
        found = validation.task_problems(kind=TaskType.ENGINEERING, spec=data.get("spec", ""))
        for field, problem in found.items():
            if problem and field in self.fields and field not in self.errors:
                self.add_error(field, problem)
        project = data.get("project")
        if project is not None and project.status == ProjectStatus.ARCHIVED:
            self.add_error("project", _("This project is no longer worked on."))
        return data


class TaskAsking(HistoryAdmin):
    """Pages of tasks where somebody may also ask for one; what was asked is history."""

    add_fieldsets = ((None, {"fields": ("project", "spec", "deploy_after")}),)
    autocomplete_fields = ("project",)

    @override
    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Let those ask who may operate."""
        return self.has_operate_permission(request)

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Task | None = None) -> Any:
        """Ask for what is missing of a new task."""
        return self.add_fieldsets if obj is None else super().get_fieldsets(request, obj)

    @override
    def get_form(
        self, request: HttpRequest, obj: Task | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Use a form of its own for a new task."""
        if obj is None:
            kwargs["form"] = TaskForm
        return super().get_form(request, obj, change=change, **kwargs)

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Deploy unless told otherwise."""
        return {"deploy_after": True, **super().get_changeform_initial_data(request)}

    @override
    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Write and start the task through the services that own these rows."""
        words = form.cleaned_data
        with transaction.atomic():
            obj.pk = projects.create_task(
                project_id=words["project"].pk,
                type=TaskType.ENGINEERING,
                spec=words["spec"],
                requested_by_id=request.user.pk,
                deploy_after=words["deploy_after"],
            )
            services.start_task(task_id=obj.pk)
        obj.refresh_from_db()

    @override
    def response_add(
        self, request: HttpRequest, obj: Task, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go to the task's page, where it can be watched."""
        return HttpResponseRedirect(reverse("admin:projects_task_change", args=[obj.pk]))
