"""The compare-and-set transition, once, for every model with a status."""

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.bulk import Key, is_plain, update_each, update_one
from apps.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

Transitions = Mapping[str, frozenset[str]]


class IllegalTransition(Conflict):
    """The row is in a status from which the wanted one cannot be reached."""

    code = "illegal_transition"


def transitions(table: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Write a table of ``status → statuses it may become`` in its frozen form."""
    return {str(source): frozenset(map(str, targets)) for source, targets in table.items()}


def status_check(statuses: type[models.TextChoices], *, name: str) -> models.CheckConstraint:
    """Keep words that are not in the enum out of the status column."""
    return models.CheckConstraint(condition=Q(status__in=sorted(statuses.values)), name=name)


class Lifecycle(models.Model):
    """A row whose status moves only along ``TRANSITIONS``.

    The status column is the lock: a move is one UPDATE filtered by the statuses
    it may start from, so of several that try at once exactly one succeeds.
    """

    TRANSITIONS: ClassVar[Transitions]

    #: Every model replaces this by its own choices and default.
    status = models.CharField(max_length=20)
    status_changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def transition(
        cls, pk: int | UUID, *, to: str, expect: str | Collection[str] | None = None, **changes: Any
    ) -> None:
        """Move one row to a status, or raise because someone else moved it.

        Args:
            pk: primary key of the row.
            to: the status to reach.
            expect: narrows the statuses the move may start from.
            changes: other columns written by the same UPDATE.

        Raises:
            IllegalTransition: the row is in none of the source statuses.
            NotFound: there is no such row.

        """
        sources = cls._sources(to, expect)
        columns = {"status": to, "status_changed_at": timezone.now(), **changes}
        if all(map(is_plain, changes.values())):
            is_moved = update_one(cls, pk, columns, where="status", among=sources)
        else:
            is_moved = bool(cls._default_manager.filter(pk=pk, status__in=sources).update(**columns))
        if is_moved:
            logger.info("%s %s became %s", cls.__name__, pk, to)
            return
        current = cls._default_manager.filter(pk=pk).values_list("status", flat=True).first()
        if current is None:
            raise NotFound(f"There is no {cls.__name__} {pk}.")
        raise IllegalTransition(
            f"{cls.__name__} {pk} is {current} and cannot become {to}.",
            details={"status": current, "to": to},
        )

    @classmethod
    def try_transition(
        cls, pk: int | UUID, *, to: str, expect: str | Collection[str] | None = None, **changes: Any
    ) -> bool:
        """Like ``transition``, answering False instead of raising when somebody else was first."""
        try:
            cls.transition(pk, to=to, expect=expect, **changes)
        except IllegalTransition:
            return False
        return True

    @classmethod
    def try_transition_many(
        cls,
        changes: Mapping[Key, Mapping[str, Any]],
        *,
        to: str,
        expect: str | Collection[str] | None = None,
    ) -> set[Key]:
        """Like ``try_transition`` for each of many rows, in one UPDATE.

        Args:
            changes: primary key → other columns written with the status; the same columns for every row,
                plain values only.
            to: the status to reach.
            expect: narrows the statuses the moves may start from.

        Returns:
            The keys of the rows that moved; somebody else was first with the others.

        Raises:
            NotFound: one of the rows does not exist.
            ValueError: two rows name different columns.

        """
        moved = update_each(
            cls,
            changes,
            where="status",
            among=cls._sources(to, expect),
            common={"status": to, "status_changed_at": timezone.now()},
        )
        for pk in moved:
            logger.info("%s %s became %s", cls.__name__, pk, to)
        late = changes.keys() - moved
        if late and (
            missing := late - set(cls._default_manager.filter(pk__in=late).values_list("pk", flat=True))
        ):
            raise NotFound(f"There is no {cls.__name__} {', '.join(sorted(map(str, missing)))}.")
        return moved

    @classmethod
    def _sources(cls, to: str, expect: str | Collection[str] | None) -> set[str]:
        sources = {status for status, targets in cls.TRANSITIONS.items() if to in targets}
        if expect is not None:
            sources &= {expect} if isinstance(expect, str) else set(expect)
        return sources

    @classmethod
    def final_statuses(cls) -> frozenset[str]:
        """Return the statuses without a way out."""
        return frozenset(status for status, targets in cls.TRANSITIONS.items() if not targets)

    def reload(self) -> Self:
        """Read this row again and return it."""
        self.refresh_from_db()
        return self
