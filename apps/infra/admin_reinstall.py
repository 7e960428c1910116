"""The page on which a person says that a server may be erased: what is lost, its name typed, a tick."""

from typing import Any
from uuid import uuid4

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from apps.admin_base import RowAdmin, link_operation
from apps.errors import NotFound
from apps.infra import reinstalling
from apps.infra.models import Server
from apps.infra.reinstalling import Confirmation, Losses

_TEMPLATE = "orchestrator/admin/reinstall.html"


class ReinstallForm(forms.Form):
    """What has to be said before a server is erased."""

    name = forms.CharField(
        label=_("The server's name"),
        max_length=60,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Type it as it is written above."),
    )
    system = forms.CharField(
        label=_("System"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=_("By the provider's name; empty: the one that it has."),
    )
    is_understood = forms.BooleanField(
        label=_("I know that nothing of this can be brought back."), widget=UnfoldBooleanSwitchWidget
    )
    #: Those that were shown: whatever came since was not confirmed.
    projects = forms.CharField(required=False, widget=forms.HiddenInput, max_length=100_000)

    def __init__(self, losses: Losses, data: Any = None) -> None:
        super().__init__(data, initial={"projects": ",".join(losses.projects)})
        self._name = losses.server.name

    def clean_name(self) -> str:
        """Refuse another name, beside the field."""
        name = str(self.cleaned_data["name"]).strip()
        if name != self._name:
            raise forms.ValidationError(_("This is not the server's name."))
        return name

    @property
    def confirmation(self) -> Confirmation:
        """What a filled form says."""
        data = self.cleaned_data
        shown = [part for part in data["projects"].split(",") if part]
        return Confirmation(name=data["name"], projects=shown, system=data["system"])


class ReinstallPage(RowAdmin):
    """Adds that page to the pages of servers."""

    @override
    def get_urls(self) -> list[URLPattern]:
        """Add the page before the pages of single rows."""
        view = self.admin_site.admin_view(self.reinstall_view)
        return [path("<int:server_id>/erase/", view, name="infra_server_erase"), *super().get_urls()]

    @link_operation(_("Erase and set up anew"), icon="delete_forever")
    def reinstall(self, _request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that tells what is lost."""
        return HttpResponseRedirect(reverse("admin:infra_server_erase", args=[int(object_id)]))

    def reinstall_view(self, request: HttpRequest, server_id: int) -> HttpResponse:
        """Show what is lost; with the name typed and the tick set, have the server erased."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        try:
            losses = reinstalling.describe(server_id)
        except NotFound:
            return HttpResponseRedirect(reverse("admin:infra_server_changelist"))
        form = ReinstallForm(losses, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._ask(request, server_id, form.confirmation)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Erase and set up anew"),
            "losses": losses,
            "form": form,
            "back": reverse("admin:infra_server_change", args=[server_id]),
        }
        return TemplateResponse(request, _TEMPLATE, context)

    def _ask(self, request: HttpRequest, server_id: int, confirmation: Confirmation) -> HttpResponse:
        def act(server: Server) -> None:
            reinstalling.request_reinstall(
                idempotency_key=f"admin/{uuid4()}",
                server_id=server.pk,
                person_id=int(request.user.pk or 0),
                confirmation=confirmation,
            )

        done = _("It has been asked for that the server is erased and set up anew.")
        return self.operate(request, str(server_id), act=act, done=done)
