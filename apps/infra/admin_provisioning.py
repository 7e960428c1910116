"""Pages of set-ups, and what may be asked of a server on its own page."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, Section, first_of, operation, shown
from apps.admin_columns import RowColumns
from apps.infra import decommissioning, provisioning
from apps.infra.admin_reinstall import ReinstallPage
from apps.infra.models import (
    MAY_BE_REINSTALLED,
    MAY_BE_SET_UP,
    UNFINISHED_PROVISIONING,
    Provisioning,
    ProvisioningKind,
    Server,
    ServerKind,
    ServerProvider,
    ServerStatus,
)

_ATTEMPTS_SHOWN = 20
_WAITS = {ServerStatus.PENDING_SETUP, ServerStatus.PROVISIONING}


class ServerOperations(ReinstallPage):
    """Buttons of a server's page."""

    actions_detail = (
        *("set_up", "recover", "cancel_set_up", "take_out", "bring_back"),
        *("reinstall", "decommission"),
    )
    offered: ClassVar = {
        "set_up": set(MAY_BE_SET_UP) - _WAITS | {ServerStatus.PENDING_SETUP},
        "recover": set(MAY_BE_SET_UP) - _WAITS,
        "reinstall": set(MAY_BE_REINSTALLED),
        "take_out": {ServerStatus.ACTIVE, ServerStatus.UNREACHABLE, ServerStatus.PENDING_SETUP},
        "bring_back": {ServerStatus.MAINTENANCE},
        "decommission": set(ServerStatus) - {ServerStatus.PROVISIONING, ServerStatus.DECOMMISSIONED},
    }

    def _is_offered(self, name: str, row: Any) -> bool:
        if row.kind != ServerKind.SSH:
            return False
        if name == "cancel_set_up":
            unfinished = row.provisionings.filter(status__in=UNFINISHED_PROVISIONING).first()
            return unfinished is not None and not unfinished.is_erasing
        if name == "recover" and row.provisioned_at is None:
            return False
        if name == "reinstall" and row.provider in (ServerProvider.MANUAL, ServerProvider.LOCAL):
            return False
        return super()._is_offered(name, row)

    @operation(
        _("Set up"),
        question=_("The playbook is run on it: keys, updates, Docker, firewall. Nothing is erased."),
        confirm=_("Yes, set it up"),
        icon="build",
    )
    def set_up(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask for its set-up."""

        def act(server: Server) -> None:
            provisioning.request_provisioning(
                idempotency_key=f"admin/{uuid4()}", server_id=server.pk, user_id=request.user.pk
            )

        return self.operate(request, object_id, act=act, done=_("The set-up has been asked for."))

    @operation(
        _("Recover"),
        question=_("Access, Docker and firewall are put right; what should run and does not is started."),
        confirm=_("Yes, recover it"),
        icon="healing",
    )
    def recover(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask for its recovery."""

        def act(server: Server) -> None:
            provisioning.request_provisioning(
                idempotency_key=f"admin/{uuid4()}",
                server_id=server.pk,
                user_id=request.user.pk,
                kind=ProvisioningKind.RECOVERY,
            )

        return self.operate(request, object_id, act=act, done=_("The recovery has been asked for."))

    @operation(
        _("Cancel the set-up"),
        question=_("What it has done so far stays done; the server is not used until a set-up succeeds."),
        confirm=_("Yes, cancel it"),
        icon="cancel",
        dangerous=True,
    )
    def cancel_set_up(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Ask that its set-up ends."""

        def act(server: Server) -> None:
            provisioning.cancel_provisioning(server_id=server.pk)

        return self.operate(request, object_id, act=act, done=_("The set-up is being canceled."))

    @operation(
        _("Take out"),
        question=_("Nothing is deployed to it until it is brought back; what runs there goes on."),
        confirm=_("Yes, take it out"),
        icon="engineering",
    )
    def take_out(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Begin its maintenance."""

        def act(server: Server) -> None:
            provisioning.begin_maintenance(server_id=server.pk)

        return self.operate(request, object_id, act=act, done=_("The server is taken out."))

    @operation(
        _("Bring back"),
        question=_("It is used again, or waits for its set-up if it never had one."),
        confirm=_("Yes, bring it back"),
        icon="undo",
    )
    def bring_back(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """End its maintenance."""

        def act(server: Server) -> None:
            provisioning.end_maintenance(server_id=server.pk)

        return self.operate(request, object_id, act=act, done=_("The server is back."))

    @operation(
        _("Decommission"),
        question=_(
            "It is given up for good and never used again: what ran there counts as ended, its ports are "
            "freed, and data and archives on it are left behind. Its projects can be deployed elsewhere."
        ),
        confirm=_("Yes, give it up"),
        icon="dns",
        dangerous=True,
    )
    def decommission(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Give it up."""

        def act(server: Server) -> None:
            decommissioning.decommission(server_id=server.pk)

        return self.operate(request, object_id, act=act, done=_("The server is given up."))


def attempts_of(server: Server) -> Section:
    """Return a server's newest set-ups as a table."""
    newest = server.provisionings.order_by("-created_at")
    rows, more = first_of(newest, _ATTEMPTS_SHOWN, "infra_provisioning", server=server.pk)
    return Section(
        title=_("Set-ups"),
        more=more,
        headers=(_("Begun"), _("Kind"), _("Status"), _("Attempt"), _("What"), _("Changed")),
        rows=[
            (
                display.link("infra_provisioning", row.pk, display.moment(row.created_at)),
                _kind(row),
                display.status(row),
                str(row.attempt),
                (row.failure or {}).get("code") or row.current_task or display.NOTHING,
                str(_counts(row).get("changed", display.NOTHING)),
            )
            for row in rows
        ],
    )


@admin.register(Provisioning)
class ProvisioningAdmin(RowColumns, HistoryAdmin):
    """Set-ups: each attempt, its tasks, and why it ended."""

    list_display = (
        *("server", "shown_kind", "shown_status", "attempt", "failure_code"),
        *("current_task", "created_at"),
    )
    list_select_related = ("server",)
    list_filter = ("status", "kind", "force_reinstall", "server", "created_at")
    search_fields = ("id__startswith", "server__name", "episode__startswith")
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": (("status_label", "server", "attempt"), "shown_failure", "shown_counts")}),
        (_("Output"), {"fields": ("shown_left_out", "shown_log")}),
        (_("Reinstallation"), {"fields": (("shown_kind", "shown_authorization"), "shown_confirmed")}),
        (
            _("Times"),
            {"fields": (("created_at", "due_at", "started_at"), ("heartbeat_at", "finished_at"))},
        ),
    )
    readonly_fields = (
        *("status_label", "shown_failure", "shown_counts", "shown_left_out", "shown_log"),
        *("shown_kind", "shown_authorization", "shown_confirmed"),
    )

    @shown(_("Kind"))
    def shown_kind(self, row: Provisioning) -> str:
        """Show which playbook it runs, and whether the server is erased before."""
        return _kind(row)

    @shown(_("Authorised"))
    def shown_authorization(self, row: Provisioning) -> str:
        """Show who said that the server may be erased, when, until when, and how far that is."""
        if not row.force_reinstall:
            return display.NOTHING
        moments = {
            _("Authorised"): row.authorized_at,
            _("Expires"): row.authorization_expires_at,
            _("Begun"): row.reinstall_begun_at,
            _("Erased"): row.reinstalled_at,
        }
        told = {str(name): display.moment(at) for name, at in moments.items() if at}
        return display.facts({str(_("Person")): row.authorized_by_id, **told})

    @shown(_("Confirmed"))
    def shown_confirmed(self, row: Provisioning) -> str:
        """Show which machine and which projects were named."""
        return display.facts(row.confirmed) if row.confirmed else display.NOTHING

    @shown(_("Tasks"))
    def shown_counts(self, row: Provisioning) -> str:
        """Show how many tasks did what."""
        return display.facts(_counts(row))

    @shown(_("Left out"))
    def shown_left_out(self, row: Provisioning) -> str:
        """Show what the server could not have."""
        return ", ".join((row.recap or {}).get("left_out", ())) or display.NOTHING

    def sections(self, row: Provisioning) -> Iterable[Section]:
        """Show every task with its outcome."""
        tasks = (row.recap or {}).get("tasks", ())
        rows = [(str(task.get("name", "")), str(task.get("outcome", ""))) for task in tasks]
        yield Section(title=_("Tasks"), headers=(_("Task"), _("Outcome")), rows=rows)


def _kind(row: Provisioning) -> str:
    return str(_("Reinstallation")) if row.force_reinstall else row.get_kind_display()


def _counts(row: Provisioning) -> dict[str, Any]:
    counts: dict[str, Any] = (row.recap or {}).get("counts", {})
    return counts
