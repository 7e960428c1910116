"""Pages of webhooks and what they were told."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, Section, Words, first_of, operation, shown
from apps.hooks import services
from apps.hooks.models import HookDelivery, Webhook

_SHOWN = 50
_URL_CHARACTERS = 60


@admin.register(Webhook)
class WebhookAdmin(HistoryAdmin):
    """Addresses that are told what happens; people make them through the API."""

    list_display = ("shown_url", "owner", "is_active", "failures_in_a_row", "shown_notice", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("owner",)
    search_fields = ("url", "owner__username")
    ordering = ("-created_at",)
    fields = (
        "url",
        "owner",
        "events",
        "all_projects",
        "is_active",
        "failures_in_a_row",
        "notice",
        "created_at",
    )
    actions_detail = ("switch_on", "switch_off")
    offered: ClassVar = {"switch_on": ("off",), "switch_off": ("on",)}

    @override
    def _is_offered(self, name: str, row: Any) -> bool:
        """Offer the one that changes something."""
        return ("on" if row.is_active else "off") in self.offered[name]

    @shown(_("URL"), ordering="url")
    def shown_url(self, row: Webhook) -> str:
        """Show the beginning of the address, which may be long."""
        return Truncator(row.url).chars(_URL_CHARACTERS)

    @shown(_("Notice"))
    def shown_notice(self, row: Webhook) -> str:
        """Show why it was switched off."""
        return display.beginning(row.notice)

    def sections(self, row: Webhook) -> Iterable[Section]:
        """Show the latest deliveries."""
        newest = row.deliveries.order_by("-created_at")
        latest, more = first_of(newest, _SHOWN, "hooks_hookdelivery", webhook=row.pk)
        rows = [
            (
                display.link("hooks_hookdelivery", one.pk, one.event_id),
                one.event,
                display.status(one),
                str(one.attempts),
                display.moment(one.created_at),
            )
            for one in latest
        ]
        headers = (_("Delivery"), _("Event"), _("Status"), _("Tries"), _("Time"))
        yield Section(title=_("Deliveries"), headers=headers, rows=rows, more=more)

    @operation(
        _("Switch on"),
        question=_("News are sent to it again; what was dropped stays dropped."),
        confirm=_("Switch on"),
        icon="toggle_on",
    )
    def switch_on(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Have it told again."""
        return self._switch(request, object_id, is_active=True)

    @operation(
        _("Switch off"),
        question=_("Nothing is sent to it any more; what it is still owed is dropped."),
        confirm=_("Switch off"),
        icon="toggle_off",
        dangerous=True,
    )
    def switch_off(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Have it told no more."""
        return self._switch(request, object_id, is_active=False)

    def _switch(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        def act(row: Any) -> None:
            services.update_webhook(webhook_id=row.pk, is_active=is_active)

        return self.operate(request, object_id, act=act, done=_("Done."))


@admin.register(HookDelivery)
class HookDeliveryAdmin(HistoryAdmin):
    """What a webhook is owed or was told, with every try."""

    list_display = (
        "event",
        "event_id",
        "shown_webhook",
        "shown_status",
        "attempts",
        "next_attempt_at",
        "created_at",
    )
    list_filter = ("status", "event")
    list_select_related = ("webhook",)
    search_fields = ("event_id", "webhook__url")
    ordering = ("-created_at",)
    fields = (
        "webhook",
        "event",
        "event_id",
        "status_label",
        "attempts",
        "next_attempt_at",
        "body",
        "created_at",
    )

    @shown(_("Webhook"))
    def shown_webhook(self, row: HookDelivery) -> str:
        """Link to the webhook."""
        return display.link(
            "hooks_webhook", row.webhook_id, Truncator(row.webhook.url).chars(_URL_CHARACTERS)
        )

    def sections(self, row: HookDelivery) -> Iterable[Section]:
        """Show every try."""
        tries = row.tries.order_by("number")
        rows = [
            (
                str(one.number),
                display.moment(one.began_at),
                one.answer or display.NOTHING,
                display.seconds(one.seconds),
                one.error or display.NOTHING,
            )
            for one in tries
        ]
        headers: list[Words] = ["#", _("Time"), "HTTP", _("Took"), _("Error")]
        yield Section(title=_("Tries"), headers=headers, rows=rows)
