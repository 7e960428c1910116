"""What turns cost, as far as their agents told it. Unknown is None, never zero."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, FloatField, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from apps.workers.models import Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What some turns cost."""

    turns: int
    told: int
    cost_usd: float | None  # None: no turn told it
    tokens: int | None


def spend_of(turns: QuerySet[Turn]) -> Spend:
    """Return what some turns cost together, in one query."""
    number = FloatField()
    cost, written = Cast(KT("usage__cost_usd"), number), Cast(KT("usage__output_tokens"), number)
    read = Cast(KT("usage__input_tokens"), number)
    found: dict[str, Any] = turns.aggregate(
        turns=Count("pk"), told=Count(cost), cost=Sum(cost), written=Sum(written), read=Sum(read)
    )
    counted = list(_known(found["written"], found["read"]))
    return Spend(
        turns=found["turns"],
        told=found["told"],
        cost_usd=found["cost"],
        tokens=int(sum(counted)) if counted else None,
    )


def _known(*numbers: float | None) -> Iterator[float]:
    yield from (number for number in numbers if number is not None)
