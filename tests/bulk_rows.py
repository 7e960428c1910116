"""Many rows like one: what lists look like when a system has been used for a year."""

import copy
import itertools
import secrets
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models import UniqueConstraint

from apps.lifecycle import Lifecycle

#: Ports are numbers that must be unique, too.
_NUMBERS = itertools.count(22_000)


def multiply(row: models.Model, count: int, **fields: Any) -> None:
    """Write copies of a row; what must be unique is, and whatever has a life has ended."""
    model = type(row)
    model._default_manager.bulk_create(_copies(row, count, fields), batch_size=1_000)


def _copies(row: models.Model, count: int, fields: dict[str, Any]) -> Iterator[models.Model]:
    unique = _unique_fields(type(row))
    for _ in range(count):
        made = copy.copy(row)
        made._state = copy.copy(row._state)
        made._state.adding = True
        for field in row._meta.concrete_fields:
            if field.primary_key or field.name in unique:
                setattr(made, field.attname, _fresh(field, row))
        if isinstance(made, Lifecycle) and (ends := sorted(made.final_statuses())):
            made.status = ends[-1]
        for name, value in fields.items():
            setattr(made, name, value)
        yield made


def _unique_fields(model: type[models.Model]) -> set[str]:
    named = {field.name for field in model._meta.concrete_fields if field.unique}
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            named |= set(constraint.fields)
    named |= {name for names in model._meta.unique_together for name in names}
    fields = [field for field in model._meta.concrete_fields if field.name in named]
    if any(isinstance(field, models.CharField) and not field.choices for field in fields):
        # Unique together with a free word: the word alone will do, and the choice stays one.
        named -= {field.name for field in fields if field.choices}
    return named


def _fresh(field: Any, row: models.Model) -> Any:
    value = getattr(row, field.attname)
    if isinstance(field, models.AutoField | models.BigAutoField):
        return None
    if isinstance(field, models.UUIDField):
        # A reference to something else stays.
        return uuid4() if field.unique else value
    if isinstance(field, models.CharField):
        word = f"a{secrets.token_hex(16)}"[: field.max_length]
        return word.upper() if value.isupper() else word
    if isinstance(field, models.OneToOneField):
        return None if field.null else _saved_copy(getattr(row, field.name))
    if isinstance(field, models.SmallIntegerField | models.PositiveSmallIntegerField):
        return 22_000 + next(_NUMBERS) % 10_000
    if isinstance(field, models.IntegerField):
        return next(_NUMBERS)
    return value


def _saved_copy(row: models.Model) -> Any:
    made = next(_copies(row, 1, {}))
    made.save(force_insert=True)
    return made.pk
