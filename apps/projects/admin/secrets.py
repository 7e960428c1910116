"""Pages of projects' secrets: names and dates; a value goes in and never comes out."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminPasswordWidget

from apps.admin_base import RowAdmin
from apps.projects import services, validation
from apps.projects.models import ProjectSecret

if TYPE_CHECKING:
    SecretModelForm = forms.ModelForm[ProjectSecret]
else:
    SecretModelForm = forms.ModelForm


class SecretForm(SecretModelForm):
    """Takes a new value; the present one is not read."""

    new_value = forms.CharField(
        label=_("New value"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Nobody can read it afterwards; the running service gets it with the next deployment."),
    )

    class Meta:
        model = ProjectSecret
        fields = ("project", "key")

    @override
    def clean(self) -> dict[str, Any]:
        """Refuse what the service would refuse, beside its field."""
        data = super().clean() or self.cleaned_data
        key, value = data.get("key") or self.instance.key, data.get("new_value")
        if key and value:
            problems = validation.secret_problems(key=key, value=value)
            for field, name in (("key", "key"), ("value", "new_value")):
                if (problem := problems[field]) and name in self.fields:
                    self.add_error(name, problem)
        return data


@admin.register(ProjectSecret)
class ProjectSecretAdmin(RowAdmin):
    """Secrets by name."""

    form = SecretForm
    list_display = ("key", "project", "created_at", "updated_at")
    list_select_related = ("project",)
    list_filter = ("updated_at",)
    search_fields = ("key", "project__slug", "project__name")
    ordering = ("project", "key")
    autocomplete_fields = ("project",)
    actions = None

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectSecret]:
        """Leave the values in the database."""
        return super().get_queryset(request).defer("value")

    @override
    def get_fieldsets(self, request: HttpRequest, obj: ProjectSecret | None = None) -> Any:
        """Ask for a value only of those who may write it."""
        may_write = obj is None or self.has_change_permission(request, obj)
        names: list[Any] = [("project", "key"), *(["new_value"] if may_write else [])]
        shown = [(None, {"fields": names})]
        return shown if obj is None else [*shown, (_("Times"), {"fields": [("created_at", "updated_at")]})]

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: ProjectSecret | None = None) -> Any:
        """Keep the name of a secret that exists."""
        return () if obj is None else ("project", "key", "created_at", "updated_at")

    @override
    def save_model(self, request: HttpRequest, obj: ProjectSecret, form: Any, change: bool) -> None:
        """Write through the service that owns these rows."""
        services.set_secret(project_id=obj.project_id, key=obj.key, value=form.cleaned_data["new_value"])
        obj.pk = ProjectSecret.objects.values_list("pk", flat=True).get(
            project_id=obj.project_id, key=obj.key
        )

    @override
    def delete_model(self, request: HttpRequest, obj: ProjectSecret) -> None:
        """Delete through the service that owns these rows."""
        services.delete_secret(project_id=obj.project_id, key=obj.key)
