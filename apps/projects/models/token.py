"""Personal tokens: what a program shows instead of a password."""

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.roles import ALL_SCOPES, Scope

if TYPE_CHECKING:

    class AbstractAuthToken(models.Model):
        """Stands for a class without types."""

        digest = models.CharField(max_length=128, primary_key=True)
        token_key = models.CharField(max_length=25)
        user = models.ForeignKey("projects.User", on_delete=models.CASCADE)
        created = models.DateTimeField()
        expiry = models.DateTimeField(null=True)

        class Meta:
            abstract = True
else:
    from knox.models import AbstractAuthToken

PREFIX_CHARACTERS = 8


def every_scope() -> list[str]:
    """Return all scopes: a token can do what its person can, unless it is made for less."""
    return sorted(ALL_SCOPES)


class PersonalToken(AbstractAuthToken):
    """One of a person's tokens; it is kept as a digest and shown once."""

    #: The key is the digest; this is what may be shown.
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices), default=every_scope)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    #: Not knox's, whose ``create`` answers with a pair.
    objects: ClassVar[models.Manager["PersonalToken"]] = models.Manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(scopes__len__gt=0), name="token_has_scopes"),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=every_scope()), name="token_scopes_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @property
    def prefix(self) -> str:
        """How the token begins, so that its owner may tell it from others."""
        return str(self.token_key[:PREFIX_CHARACTERS])
