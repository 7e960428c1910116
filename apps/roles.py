"""Who may do what, once: the role of a person, the scopes of their token, and the powers that follow."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person is in this installation."""

    OWNER = "owner", _("Owner")  # everything, people included
    OPERATOR = "operator", _("Operator")  # sees and steers everything but people
    MEMBER = "member", _("Member")  # own projects only
    VIEWER = "viewer", _("Viewer")  # sees all projects, changes nothing


class Scope(models.TextChoices):
    """What a personal token is good for."""

    READ = "read", _("Read")  # look
    WRITE = "write", _("Write")  # change
    OPERATE = "operate", _("Operate")  # use an operator's or an owner's powers over what is not one's own


#: Who runs the installation; they may enter the admin.
STAFF: Final = frozenset({Role.OWNER, Role.OPERATOR})
ALL_SCOPES: Final = frozenset(Scope)
#: From the least to the most.
RANKS: Final = (Role.VIEWER, Role.MEMBER, Role.OPERATOR, Role.OWNER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Powers:
    """What the credentials of one request allow."""

    touches: bool  # more than to look
    sees_all: bool  # rows of other people, too
    operates: bool  # what is for those who run the installation
    manages_people: bool


def powers(role: str, *, scopes: Collection[str] = ALL_SCOPES, is_worker: bool = False) -> Powers:
    """Return what somebody may do.

    Args:
        role: of the person.
        scopes: of their token; a signed-in browser has all of them.
        is_worker: a worker acts for the person, with that person's own rows only.

    """
    operates = role in STAFF and Scope.OPERATE in scopes and not is_worker
    return Powers(
        touches=role != Role.VIEWER,
        sees_all=not is_worker and (operates or role == Role.VIEWER),
        operates=operates,
        manages_people=operates and role == Role.OWNER,
    )


def higher(one: str, other: str) -> Role:
    """Return the role of the two that may do more."""
    return max(Role(one), Role(other), key=RANKS.index)
