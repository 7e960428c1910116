"""The form of a server reached by SSH: secrets go in and never come out."""

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from apps.infra import servers
from apps.infra.models import Server, ServerStatus

if TYPE_CHECKING:
    ServerModelForm = forms.ModelForm[Server]
else:
    ServerModelForm = forms.ModelForm

_WORDS: Final = (
    *("name", "host", "ssh_port", "ssh_user", "host_key"),
    *("port_range_start", "port_range_end", "admin_user"),
)
#: Fields of the form that are called otherwise where they go.
_SECRETS: Final = {
    "new_identity": "identity",
    "new_admin_password": "admin_password",
    "new_admin_identity": "admin_identity",
}
_KEPT = _("Nobody can read it afterwards; empty keeps the one that is stored.")


def _key_field(label: Any) -> forms.CharField:
    attributes = {"rows": 6, "autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(
        label=label,
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs=attributes),
        help_text=_KEPT,
    )


class ServerForm(ServerModelForm):
    """Takes a server reached by SSH; what is secret at present is not read."""

    needs_setup = forms.BooleanField(
        label=_("To be set up by us"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("Then the user of deployments and its key are ours to make."),
    )
    new_identity = _key_field(_("Private key"))
    new_admin_password = forms.CharField(
        label=_("Administrator's password"),
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("For the first login; removed once our own key lets us in."),
    )
    new_admin_identity = _key_field(_("Administrator's private key"))

    class Meta:
        model = Server
        fields = _WORDS

    @override
    def clean(self) -> dict[str, Any]:
        """Refuse what the service would refuse, beside its field."""
        data = super().clean() or self.cleaned_data
        if not self.errors:
            names = {column: name for name, column in _SECRETS.items()}
            for field, problem in servers.problems_of(words_of(data, self.instance)).items():
                name = names.get(field, field)
                if problem and name in self.fields:
                    self.add_error(name, problem)
        return data


def words_of(data: dict[str, Any], server: Server) -> servers.ServerWords:
    """Return what a filled form says about a server; a new one has no id yet."""
    said: dict[str, Any] = {
        **{name: data[name].strip() if isinstance(data[name], str) else data[name] for name in _WORDS},
        **{column: data.get(name) or "" for name, column in _SECRETS.items()},
    }
    return servers.ServerWords(**said, needs_setup=bool(data.get("needs_setup")) or is_ours(server))


def is_ours(server: Server) -> bool:
    """Tell whether we set a server up, or shall."""
    waits = server.status not in (ServerStatus.ACTIVE, ServerStatus.MAINTENANCE)
    return server.pk is not None and (server.provisioned_at is not None or waits)
