"""Pages of projects."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps import admin_display as display
from apps.admin_base import RowAdmin, Section, first_of, link_operation, operation, shown
from apps.admin_columns import RowColumns
from apps.errors import Invalid
from apps.projects import services, validation
from apps.projects.models import Module, Project, ProjectStatus

if TYPE_CHECKING:
    ProjectModelForm = forms.ModelForm[Project]
else:
    ProjectModelForm = forms.ModelForm

MAX_ROWS_SHOWN = 30


class ProjectForm(ProjectModelForm):
    """The words of a project, and at its beginning its modules and owner."""

    modules = forms.MultipleChoiceField(
        label=_("Modules"),
        choices=Module.choices,
        initial=[Module.BACKEND],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Project
        fields = ("name", "description", "modules", "owner")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            # Modules are chosen once, and a field that is not shown would be found missing.
            del self.fields["modules"]

    @override
    def clean(self) -> dict[str, Any]:
        """Refuse what the service would refuse, beside its field."""
        data = super().clean() or self.cleaned_data
        try:
            validation.project_words(
                name=data.get("name", ""),
                description=data.get("description", ""),
                modules=data.get("modules", self.instance.modules or [Module.BACKEND]),
            )
        except Invalid as error:
            for name, problem in error.details.items():
                if name in self.fields and name not in self.errors:
                    self.add_error(name, str(problem))
        return data


@admin.register(Project)
class ProjectAdmin(RowColumns, RowAdmin):
    """Projects: what people asked to have built."""

    form = ProjectForm
    list_display = (
        "slug",
        "name",
        "shown_status",
        "owner",
        "task_count",
        "shown_repository",
        "failure_code",
        "created_at",
    )
    list_select_related = ("owner",)
    list_filter = ("status", "created_at")
    search_fields = ("id__startswith", "slug", "name", "owner__username", "description")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    autocomplete_fields = ("owner",)
    actions = None
    actions_detail = ("ask", "scaffold", "archive")
    offered: ClassVar = {
        "ask": {ProjectStatus.DRAFT, ProjectStatus.FAILED, ProjectStatus.SCAFFOLDING, ProjectStatus.ACTIVE},
        "scaffold": {ProjectStatus.DRAFT, ProjectStatus.FAILED},
        "archive": {ProjectStatus.DRAFT, ProjectStatus.FAILED, ProjectStatus.ACTIVE},
    }
    add_fieldsets = ((None, {"fields": ("name", "description", "modules", "owner")}),)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("slug", "status_label", "owner"),
                    "name",
                    "description",
                )
            },
        ),
        (
            _("Repository"),
            {
                "fields": (
                    "shown_repository",
                    ("default_branch", "shown_head"),
                    ("shown_modules", "template_version", "scaffold_attempts"),
                )
            },
        ),
        (_("Manifest"), {"fields": ("shown_manifest",), "classes": ("collapse",)}),
        (_("Times"), {"fields": (("created_at", "updated_at"), ("deadline_at", "heartbeat_at"))}),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the tasks in the same query."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(task_total=Count("tasks"))
        return rows

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> Any:
        """Keep everything but the words of a project that exists."""
        if obj is None:
            return ()
        names = [name for _title, part in self.fieldsets for line in part["fields"] for name in _names(line)]
        return [name for name in names if name not in ("name", "description")]

    @override
    def has_change_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """Keep the words of an archived project."""
        is_archived = obj is not None and obj.status == ProjectStatus.ARCHIVED
        return not is_archived and super().has_change_permission(request, obj)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        """Refuse: a project is archived, its history stays."""
        return False

    @override
    def save_model(self, request: HttpRequest, obj: Project, form: Any, change: bool) -> None:
        """Write through the services that own these rows."""
        words = {name: form.cleaned_data[name] for name in ("name", "description")}
        if change:
            services.update_project(project_id=obj.pk, **words)
            return
        modules, owner = form.cleaned_data["modules"], form.cleaned_data["owner"]
        obj.pk = services.create_project(owner_id=owner.pk, modules=modules, **words)
        obj.refresh_from_db()

    @override
    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Offer whoever asks as the owner."""
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    @override
    def response_add(
        self, request: HttpRequest, obj: Project, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go to the project's page, where work can be asked for."""
        return HttpResponseRedirect(self._address("change", str(obj.pk)))

    @shown(_("Tasks"), ordering="task_total")
    def task_count(self, project: Any) -> int:
        """Show how much was asked of it."""
        return int(project.task_total)

    @shown(_("Repository"))
    def shown_repository(self, project: Project) -> str:
        """Link to the repository."""
        return display.outside_link(project.repository_url)

    @shown(_("Modules"))
    def shown_modules(self, project: Project) -> str:
        """Show what it is made of."""
        return ", ".join(project.modules)

    @shown(_("Head"))
    def shown_head(self, project: Project) -> str:
        """Show the head of the default branch."""
        return display.sha(project.head_sha)

    @shown(_("Manifest"))
    def shown_manifest(self, project: Project) -> str:
        """Show project.yaml."""
        return display.facts(project.manifest)

    @override
    def sections(self, row: Project) -> Iterable[Section]:
        """Show its tasks, its merge requests and the names of its secrets."""
        yield _tasks(row)
        yield _changes(row)
        yield _secrets(row)

    @link_operation(_("Ask for work"), icon="add_task")
    def ask(self, _request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the form of a new task of this project."""
        query = urlencode({"project": object_id})
        return HttpResponseRedirect(f"{reverse('admin:projects_task_add')}?{query}")

    @operation(
        _("Create repository"),
        question=_("The repository is made from the template; asking twice is asking once."),
        confirm=_("Yes, create it"),
        icon="construction",
    )
    def scaffold(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask for the repository."""

        def act(project: Project) -> None:
            services.request_scaffold(project_id=project.pk)

        return self.operate(request, object_id, act=act, done=_("The repository is being created."))

    @operation(
        _("Archive"),
        question=_(
            "The project is kept but no longer worked on. What is deployed goes on until it is stopped. "
            "There is no way back."
        ),
        confirm=_("Yes, archive it"),
        icon="archive",
        dangerous=True,
    )
    def archive(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Put the project away."""

        def act(project: Project) -> None:
            services.archive_project(project_id=project.pk)

        return self.operate(request, object_id, act=act, done=_("The project was archived."))


def _names(line: Any) -> tuple[str, ...]:
    return line if isinstance(line, tuple) else (line,)


def _tasks(project: Project) -> Section:
    newest = project.tasks.order_by("-created_at")
    tasks, more = first_of(newest, MAX_ROWS_SHOWN, "projects_task", project=project.pk)
    return Section(
        title=_("Tasks"),
        more=more,
        headers=(_("Task"), _("Type"), _("Status"), _("What was asked"), _("Failure"), _("Created")),
        rows=[
            (
                display.link("projects_task", task.pk),
                task.get_type_display(),
                display.status(task),
                display.beginning(task.spec) or display.NOTHING,
                display.failure_word(task.failure),
                display.moment(task.created_at),
            )
            for task in tasks
        ],
    )


def _changes(project: Project) -> Section:
    newest = project.merge_requests.order_by("-created_at")
    changes, more = first_of(newest, MAX_ROWS_SHOWN, "projects_mergerequest", project=project.pk)
    return Section(
        title=_("Merge requests"),
        more=more,
        headers=(_("Title"), _("Status"), _("Branch"), _("Merged as"), _("Created")),
        rows=[
            (
                display.link("projects_mergerequest", change.pk, display.beginning(change.title)),
                display.status(change),
                display.code(change.branch),
                display.sha(change.merge_sha),
                display.moment(change.created_at),
            )
            for change in changes
        ],
    )


def _secrets(project: Project) -> Section:
    names = project.secrets.order_by("key").values_list("pk", "key", "created_at", "updated_at")
    secrets, more = first_of(names, MAX_ROWS_SHOWN, "projects_projectsecret", project=project.pk)
    return Section(
        title=_("Secrets"),
        more=more,
        headers=(_("Key"), _("Created"), _("Changed")),
        rows=[
            (display.link("projects_projectsecret", pk, key), display.moment(made), display.moment(changed))
            for pk, key, made, changed in secrets
        ],
    )
