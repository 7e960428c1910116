"""Pages of the chat front end: who is talked to, what was said and owed, what went wrong."""

from collections.abc import Iterable
from typing import ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, Section, first_of, operation, shown
from apps.admin_columns import RowColumns
from apps.bot import operations, splitting
from apps.bot.models import Chat, ChatMessage, Delivery, DeliveryStatus, ProcessedUpdate, Trouble

MOST_SHOWN = 30


@admin.register(Chat)
class ChatAdmin(HistoryAdmin):
    """Chats: whose they are, and whether the bot can write there."""

    list_display = (
        "__str__",
        "shown_status",
        "shown_user",
        "username",
        "telegram_id",
        "language",
        "created_at",
    )
    list_filter = ("status", "language", "created_at")
    list_select_related = ("user",)
    search_fields = ("name", "username", "telegram_id", "user__username")
    ordering = ("-created_at",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("status_label", "shown_user"),
                    ("name", "username"),
                    ("telegram_id", "language", "is_quiet"),
                )
            },
        ),
        (_("Times"), {"fields": (("created_at", "status_changed_at"), ("paused_until",))}),
    )

    @shown(_("User"), ordering="user__username")
    def shown_user(self, chat: Chat) -> str:
        """Link to the person."""
        return display.link("projects_user", chat.user_id, str(chat.user or ""))

    def sections(self, row: Chat) -> Iterable[Section]:
        """Show what was owed there last."""
        newest = row.deliveries.order_by("-id")
        owed, more = first_of(newest, MOST_SHOWN, "bot_delivery", chat=row.pk)
        lines = [
            (
                display.link("bot_delivery", one.pk, one.get_kind_display()),
                display.status(one),
                display.beginning(_words(one)),
                display.moment(one.created_at),
            )
            for one in owed
        ]
        headers = (_("Kind"), _("Status"), _("Text"), _("Time"))
        yield Section(title=_("Deliveries"), headers=headers, rows=lines, more=more)


@admin.register(Delivery)
class DeliveryAdmin(RowColumns, HistoryAdmin):
    """Deliveries: everything the bot owes, or has said."""

    list_display = (
        "id",
        "shown_status",
        "kind",
        "shown_chat",
        "shown_beginning",
        "failure_code",
        "created_at",
    )
    list_filter = ("status", "kind", "created_at")
    list_select_related = ("chat",)
    search_fields = ("idempotency_key", "chat__name", "chat__username")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    actions_detail = ("send_again",)
    offered: ClassVar = {"send_again": {DeliveryStatus.FAILED, DeliveryStatus.DROPPED}}
    fieldsets = (
        (None, {"fields": (("status_label", "kind", "shown_chat"), "shown_failure", "shown_text")}),
        (
            _("Sending"),
            {
                "fields": (
                    ("attempts", "message_id", "parts_sent"),
                    ("wanted_revision", "shown_revision"),
                    ("is_uncertain", "is_plain"),
                )
            },
        ),
        (_("Times"), {"fields": (("created_at", "sent_at"), ("not_before", "deadline_at"))}),
    )

    @shown(_("Chat"))
    def shown_chat(self, row: Delivery) -> str:
        """Link to the chat."""
        return display.link("bot_chat", row.chat_id, str(row.chat))

    @shown(_("Text"))
    def shown_beginning(self, row: Delivery) -> str:
        """Show the beginning of what is said."""
        return display.beginning(_words(row))

    @shown(_("Text"))
    def shown_text(self, row: Delivery) -> str:
        """Show what is said, as the person reads it."""
        return display.text_block(_words(row))

    @operation(
        _("Send again"),
        question=_("The chat is owed this once more, behind everything that it is owed already."),
        confirm=_("Send"),
        icon="send",
    )
    def send_again(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Try once more."""
        return self.operate(
            request,
            object_id,
            act=lambda row: operations.send_again(delivery_id=row.pk),
            done=_("It is owed once more."),
        )


def _words(row: Delivery) -> str:
    """Return what a person reads of it."""
    return splitting.plain(str(row.payload.get("text", "")))


@admin.register(ChatMessage)
class ChatMessageAdmin(RowColumns, HistoryAdmin):
    """Messages: what people said to their assistant, and what became of it."""

    list_display = (
        "id",
        "shown_status",
        "user",
        "shown_beginning",
        "shown_turn",
        "failure_code",
        "created_at",
    )
    list_filter = ("status", "created_at")
    list_select_related = ("user",)
    search_fields = ("text", "user__username", "turn_id__startswith")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": (("status_label", "user", "shown_turn"), "shown_failure", "shown_text")}),
        (_("Times"), {"fields": (("created_at", "finished_at"),)}),
    )

    @shown(_("Text"))
    def shown_beginning(self, row: ChatMessage) -> str:
        """Show the beginning of what was said."""
        return display.beginning(row.text)

    @shown(_("Text"))
    def shown_text(self, row: ChatMessage) -> str:
        """Show what was said."""
        return display.text_block(row.text)

    @shown(_("Turn"))
    def shown_turn(self, row: ChatMessage) -> str:
        """Link to the turn that it became a part of."""
        return display.link("workers_turn", row.turn_id)

    def sections(self, row: ChatMessage) -> Iterable[Section]:
        """Show the files that came with it."""
        files, more = first_of(row.files.order_by("pk"), MOST_SHOWN)
        lines = [
            (
                one.file_name or one.kind,
                display.status(one),
                display.size(one.size_bytes) if one.size_bytes else display.NOTHING,
                one.reason or display.NOTHING,
            )
            for one in files
        ]
        headers = (_("Name"), _("Status"), _("Size"), _("Reason"))
        yield Section(title=_("Files"), headers=headers, rows=lines, more=more)


@admin.register(Trouble)
class TroubleAdmin(HistoryAdmin):
    """Troubles: what the bot could not do and will not do by itself."""

    list_display = ("code", "shown_message", "times", "last_at", "resolved_at")
    list_filter = ("code", "resolved_at", "created_at")
    list_select_related = ("chat",)
    search_fields = ("key", "code", "message")
    ordering = ("-last_at",)
    actions_detail = ("resolve",)
    fieldsets = (
        (None, {"fields": (("code", "times"), "shown_words", ("shown_chat", "shown_delivery"))}),
        (_("Times"), {"fields": (("created_at", "last_at"), ("resolved_at", "notified_at"))}),
    )

    @shown(_("Message"))
    def shown_message(self, row: Trouble) -> str:
        """Show the beginning of what is the matter."""
        return display.beginning(row.message)

    @shown(_("Message"))
    def shown_words(self, row: Trouble) -> str:
        """Show what is the matter."""
        return display.text_block(row.message)

    @shown(_("Chat"))
    def shown_chat(self, row: Trouble) -> str:
        """Link to the chat."""
        return display.link("bot_chat", row.chat_id, str(row.chat or ""))

    @shown(_("Delivery"))
    def shown_delivery(self, row: Trouble) -> str:
        """Link to the delivery."""
        return display.link("bot_delivery", row.delivery_id)

    @operation(
        _("Resolve"),
        question=_("The trouble is closed. If it happens again, a new one is opened."),
        confirm=_("Close"),
        icon="check",
    )
    def resolve(self, request: HttpRequest, _form: forms.Form, object_id: str) -> HttpResponse:
        """Close a trouble that is over."""
        return self.operate(
            request,
            object_id,
            act=lambda row: operations.resolve_trouble(trouble_id=row.pk),
            done=_("The trouble was closed."),
        )


@admin.register(ProcessedUpdate)
class ProcessedUpdateAdmin(HistoryAdmin):
    """Updates: which were handled, and what the failed ones failed of; never what stood in them."""

    list_display = ("update_id", "attempts", "shown_failure", "finished_at", "created_at")
    list_filter = ("attempts", "created_at")
    search_fields = ("update_id",)
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": (("update_id", "attempts"), "shown_failure", ("finished_at", "created_at"))}),
    )

    @shown(_("Failure"))
    def shown_failure(self, row: ProcessedUpdate) -> str:
        """Show type and place of the error."""
        return display.facts(row.failure)
