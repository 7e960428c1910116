"""Pages of people and of the invitations by which they come; for owners."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.admin_base import RowAdmin, shown
from apps.projects import services
from apps.projects.models import Invitation, PersonalToken, User
from apps.projects.models.token import every_scope
from apps.roles import Scope

if TYPE_CHECKING:
    BaseUserAdmin = DjangoUserAdmin[Any]
else:
    BaseUserAdmin = DjangoUserAdmin

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, RowAdmin):
    """People; what they may do follows from their role alone."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "role", "email", "telegram_id", "is_active", "last_login")
    list_filter = ("is_active", "role")
    search_fields = ("username", "email", "first_name", "last_name", "telegram_id")
    readonly_fields = ("last_login", "date_joined")
    list_per_page = 50
    # Django's pair of lists is wider than a page beside the sidebar.
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": (("first_name", "last_name"), ("email", "telegram_id"))}),
        (_("Permissions"), {"fields": (("role", "is_active"),)}),
        (_("Times"), {"fields": (("last_login", "date_joined"),)}),
    )

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write the person; the last owner stays one."""
        if change:
            services.change_person(person_id=obj.pk, role=obj.role, is_active=obj.is_active)
        super().save_model(request, obj, form, change)


@admin.register(Invitation)
class InvitationAdmin(RowAdmin):
    """Codes by which people come in; the code itself is shown once, when it is made."""

    list_display = ("prefix", "role", "person", "created_by", "expires_at", "used_by", "used_at")
    list_filter = ("role",)
    list_select_related = ("person", "created_by", "used_by")
    search_fields = ("prefix", "created_by__username", "used_by__username")
    ordering = ("-created_at",)
    readonly_fields = ("prefix", "created_by", "created_at", "expires_at", "used_by", "used_at")
    autocomplete_fields = ("person",)

    @override
    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> Any:
        """Ask for what an invitation is made of; show the rest afterwards."""
        return ("role", "person") if obj is None else ("role", "person", *self.readonly_fields)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        """Refuse; the page is still shown to who may view it."""
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        """Let an invitation be withdrawn until somebody used it."""
        is_used = obj is not None and obj.used_at is not None
        return not is_used and super().has_delete_permission(request, obj)

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Invite, and show the link this once, or the code while no bot has run."""
        made, code = services.invite(
            created_by_id=request.user.pk, role=obj.role, person_id=getattr(obj.person, "pk", None)
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        link = services.link_of(code)
        if link:
            messages.warning(request, _("The link, shown this once: %(link)s") % {"link": link})
        else:
            messages.warning(request, _("The code, shown this once: %(code)s") % {"code": code})


@admin.register(PersonalToken)
class PersonalTokenAdmin(RowAdmin):
    """Personal tokens of everybody: an owner makes and revokes them; the words are shown once."""

    list_display = ("prefix", "name", "user", "shown_scopes", "created", "expiry", "last_used_at")
    list_display_links = None
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    ordering = ("-created",)
    fields = ("user", "name", "scopes")
    autocomplete_fields = ("user",)

    @shown(_("Scopes"))
    def shown_scopes(self, row: PersonalToken) -> str:
        """Name what it is good for."""
        return ", ".join(row.scopes)

    @override
    def has_change_permission(self, request: HttpRequest, obj: PersonalToken | None = None) -> bool:
        """Refuse: what a token is good for is decided when it is made."""
        return False

    @override
    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the scopes that exist."""
        if db_field.name == "scopes":
            return forms.MultipleChoiceField(
                choices=Scope.choices, initial=every_scope, widget=forms.CheckboxSelectMultiple
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @override
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make the token, and show it this once."""
        made, token = services.issue_token(person_id=obj.user_id, name=obj.name, scopes=obj.scopes)
        obj.pk = made.pk
        obj.refresh_from_db()
        messages.warning(request, _("The token, shown this once: %(token)s") % {"token": token})
