"""What every admin page shares: the door to unfold, read-only history, operations that answer politely."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth import get_permission_codename
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from typing_extensions import override
from unfold import decorators
from unfold.enums import ActionVariant

from apps.admin_display import NOTHING, STATUS_COLORS, status
from apps.errors import OrchestratorError

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as TypedModelAdmin
    from django.utils.functional import _StrPromise

    UnfoldModelAdmin = TypedModelAdmin[Any]
    Words = str | _StrPromise
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin

    Words = str

F = TypeVar("F", bound=Callable[..., Any])
Result = TypeVar("Result")

MAX_REFUSALS_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A table of related rows on a detail page."""

    title: Words
    headers: Sequence[Words]
    rows: Sequence[Sequence[Any]]
    more: Words = ""  # says that there are more rows, and leads to them

    @property
    def table(self) -> dict[str, Any]:
        """The form that unfold's table draws."""
        return {"headers": [str(header) for header in self.headers], "rows": self.rows}


def shown(
    title: Words, *, ordering: str | None = None, label: bool | dict[str, str | None] | None = None
) -> Callable[[F], F]:
    """Name a method that is shown as a column or a field.

    Args:
        title: the head of the column.
        ordering: the field that a click on the head sorts by.
        label: draw the value as a colored label; a mapping gives value → color.

    """
    made = decorators.display(description=title, ordering=ordering, label=label, empty_value=NOTHING)
    return cast(Callable[[F], F], made)


def operation(
    title: Words, *, question: Words, confirm: Words, icon: str, dangerous: bool = False
) -> Callable[[F], F]:
    """Make a method a button of the detail page: it asks first and acts on POST only.

    Args:
        title: of the button and of the dialog.
        question: what will happen.
        confirm: the dialog's button that does it; the one beside it says "Cancel".
        icon: one of the Material symbols.
        dangerous: whether something is lost by it.

    """
    variant = ActionVariant.DANGER if dangerous else ActionVariant.DEFAULT
    dialog = {"title": title, "description": question, "form_class": None, "form_submit_text": confirm}
    made = decorators.action(
        description=title, permissions=["operate"], icon=icon, variant=variant, dialog=dialog
    )
    return cast(Callable[[F], F], made)


def link_operation(title: Words, *, icon: str) -> Callable[[F], F]:
    """Make a method a button of the detail page that only leads elsewhere: it asks nothing."""
    made = decorators.action(description=title, permissions=["operate"], icon=icon)
    return cast(Callable[[F], F], made)


def list_operation(title: Words) -> Callable[[F], F]:
    """Make a method an action on the rows that are ticked in a list."""
    return cast(Callable[[F], F], decorators.action(description=title, permissions=["operate"]))


class RowAdmin(UnfoldModelAdmin):
    """Pages of a model: searchable lists, readable details, and operations through services."""

    #: Operations that are offered only while the row is in one of these statuses.
    offered: ClassVar[Mapping[str, Collection[str]]] = {}
    change_form_outer_after_template = "orchestrator/admin/sections.html"
    list_per_page = 50
    show_full_result_count = False

    def sections(self, _row: Any) -> Iterable[Section]:
        """Return the tables of related rows that the detail page shows."""
        return ()

    @shown(gettext_lazy("Status"), ordering="status", label=STATUS_COLORS)
    def shown_status(self, row: Any) -> tuple[str, str]:
        """Draw the status as a colored label."""
        return row.status, row.get_status_display()

    @shown(gettext_lazy("Status"))
    def status_label(self, row: Any) -> str:
        """Draw the status on a detail page, where unfold draws no labels."""
        return status(row)

    def details(self, row: Any) -> dict[str, Any]:
        """Return what the templates of the detail page need beside the row."""
        return {"sections": list(self.sections(row))}

    @override
    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Add the related rows to the detail page."""
        if obj is not None:
            context.update(self.details(obj))
        return super().render_change_form(
            request, context, add=add, change=change, form_url=form_url, obj=obj
        )

    @override
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer a refusal of our services with a message on the same page."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except OrchestratorError as error:
            messages.error(request, refusal(error))
            return HttpResponseRedirect(request.get_full_path())

    # --- operations ---

    def has_operate_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether somebody may start operations: who may change the model may."""
        codename = get_permission_codename("change", self.opts)
        return bool(cast(Any, request.user).has_perm(f"{self.opts.app_label}.{codename}"))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the operations that make sense for the row as it is."""
        actions = cast(list[Any], cast(Any, super()).get_actions_detail(request, object_id))
        if not actions or not self.offered:
            return actions
        row = self.get_object(request, unquote(str(object_id)))
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            action
            for action in actions
            if row is None or self._is_offered(action.action_name.removeprefix(prefix), row)
        ]

    def _is_offered(self, name: str, row: Any) -> bool:
        return name not in self.offered or row.status in self.offered[name]

    def operate(
        self, request: HttpRequest, object_id: str, *, act: Callable[[Any], str | None], done: Words
    ) -> HttpResponse:
        """Do something with one row and answer with a message.

        Args:
            request: the person's POST.
            object_id: the row's key as in the address.
            act: one call of a service; it may return the address to go to.
            done: the message of success, which is kept in the row's history.

        """
        row = self.get_object(request, unquote(object_id))
        if row is None:
            messages.error(request, _("There is nothing of that id any more."))
            return _go_to(request, self._address("changelist"))
        address = self._address("change", quote(row.pk))
        try:
            address = self._act(request, row, act, done) or address
        except OrchestratorError as error:
            messages.error(request, refusal(error))
        else:
            messages.success(request, done)
        return _go_to(request, address)

    def operate_on_each(
        self, request: HttpRequest, rows: QuerySet[Any], *, act: Callable[[Any], object], done: Words
    ) -> None:
        """Do something with every ticked row; a refused one does not stop the others."""
        succeeded, refused = 0, []
        for row in rows:
            try:
                self._act(request, row, act, done)
            except OrchestratorError as error:
                refused.append(f"{row}: {refusal(error)}")
            else:
                succeeded += 1
        if succeeded:
            messages.success(request, f"{done} ({succeeded})")
        for line in refused[:MAX_REFUSALS_SHOWN]:
            messages.error(request, line)
        more = len(refused) - MAX_REFUSALS_SHOWN
        if more > 0:
            text = ngettext("%(count)s more was refused.", "%(count)s more were refused.", more)
            messages.error(request, text % {"count": more})

    def _act(self, request: HttpRequest, row: Any, act: Callable[[Any], Result], done: Words) -> Result:
        """Do something and write down who did it, or neither."""
        with transaction.atomic():
            result = act(row)
            self.log_change(request, row, str(done))
        return result

    def _address(self, page: str, *arguments: str) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=arguments)


class HistoryAdmin(RowAdmin):
    """Pages of rows that are history: written by the system, changed by nobody here."""

    @override
    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Refuse."""
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse; the page is still shown to who may view it."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


def refusal(error: OrchestratorError) -> str:
    """Return an error of ours as one line."""
    return f"{error.message} ({error.error_code})"


def list_address(page: str, **filters: Any) -> str:
    """Return the address of a list, filtered."""
    address = reverse(f"admin:{page}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def first_of(rows: QuerySet[Any], most: int, page: str = "", **filters: Any) -> tuple[list[Any], str]:
    """Return the first rows of a query, and what is to be said where those are not all.

    Args:
        rows: in the order in which they are shown.
        most: so many are enough for a page.
        page: application and model whose list has them all, as ``projects_task``; none if empty.
        filters: of that list.

    """
    found = list(rows[: most + 1])
    if len(found) <= most:
        return found, ""
    return found[:most], left_out(most, list_address(page, **filters) if page else "")


def left_out(most: int, address: str) -> str:
    """Say that only so many rows are shown, and link to where all of them are."""
    words = ngettext("Only %(count)s is shown.", "Only %(count)s are shown.", most) % {"count": most}
    if not address:
        return words
    return format_html('{} <a class="text-link" href="{}">{}</a>', words, address, _("Show all"))


def _go_to(request: HttpRequest, address: str) -> HttpResponse:
    # The dialog is posted by htmx, which follows a redirect inside the dialog.
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
