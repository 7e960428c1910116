"""People, how they are let in, and the answers they were already given."""

import uuid
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.roles import STAFF, Role

#: Permissions that only an owner has: the models that say who may come in.
_PEOPLE = frozenset({"user", "invitation", "personaltoken", "authtoken", "group", "permission"})


class PeopleManager(UserManager["User"]):
    """Makes people; Django's own words for who they are become a role."""

    use_in_migrations = False

    def create_user(self, username: str, *args: Any, **fields: Any) -> "User":
        """Create a person, a member unless a role is given."""
        fields["role"] = _role_of(fields)
        return super().create_user(username, *args, **fields)

    def create_superuser(self, username: str, *args: Any, **fields: Any) -> "User":
        """Create an owner."""
        fields["role"] = Role.OWNER
        return super().create_superuser(username, *args, **fields)


def _role_of(fields: dict[str, Any]) -> Role:
    if "role" in fields:
        return Role(fields["role"])
    if fields.get("is_superuser"):
        return Role.OWNER
    return Role.OPERATOR if fields.get("is_staff") else Role.MEMBER


class User(AbstractUser):
    """A person; Django's ``is_staff`` and ``is_superuser`` follow from the role."""

    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.MEMBER)
    telegram_id = models.BigIntegerField(null=True, blank=True, unique=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(telegram_id__isnull=True) | Q(telegram_id__gt=0),
                name="user_telegram_id_positive",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(
                condition=Q(is_staff=True, role__in=sorted(STAFF))
                | Q(is_staff=False) & ~Q(role__in=sorted(STAFF)),
                name="user_is_staff_follows_role",
            ),
            models.CheckConstraint(
                condition=Q(is_superuser=True, role=Role.OWNER) | Q(is_superuser=False) & ~Q(role=Role.OWNER),
                name="user_is_superuser_follows_role",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Write the row; what Django knows of the role is written with it."""
        self.is_staff = self.role in STAFF
        self.is_superuser = self.role == Role.OWNER
        if update_fields is not None and "role" in update_fields:
            update_fields = {*update_fields, "is_staff", "is_superuser"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Let an operator do everything in the admin that is not about people."""
        is_about_people = perm.rsplit(".", 1)[-1].split("_", 1)[-1] in _PEOPLE
        return (self._operates() and not is_about_people) or super().has_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        """Let an operator see every part of the admin that has a page for them."""
        return self._operates() or super().has_module_perms(app_label)

    def _operates(self) -> bool:
        return self.is_active and self.role == Role.OPERATOR


class Invitation(models.Model):
    """A single-use code that lets one person in; only its digest is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=8, editable=False, help_text="How the code begins.")
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.MEMBER)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("An account that exists already; the invitation connects it to a chat."),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.role})"

    def reload(self) -> Self:
        """Read this row again and return it."""
        self.refresh_from_db()
        return self


class InvitingBot(models.Model):
    """One row: the bot that invitations lead to, as Telegram last named it to a process with its token."""

    name = models.CharField(max_length=20, primary_key=True, default="telegram")
    username = models.CharField(max_length=64)
    named_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"@{self.username}"


class IdempotencyRecord(models.Model):
    """The first answer to a request that carried an ``Idempotency-Key``."""

    principal = models.CharField(max_length=80, help_text="Who asked: user:<id> or worker:<id>.")
    key = models.CharField(max_length=200)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=500)
    request_sha256 = models.CharField(max_length=64)
    response_status = models.PositiveSmallIntegerField(
        null=True, help_text="Empty while the first is running."
    )
    response_body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["principal", "key"], name="idempotency_one_answer_per_key")
        ]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"
