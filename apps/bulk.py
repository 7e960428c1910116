"""Statements that Django's ORM cannot say, or builds anew each time although they are always the same.

Many rows, each with values of its own, are one statement. Values travel as one array
per column, so it is as long for five hundred rows as for one. Rows are locked in the
order of their keys: two batches that share rows wait for each other instead of ending
in a deadlock.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from django.db import connection, models

Field: TypeAlias = "models.Field[Any, Any]"
#: A primary key.
Key = TypeVar("Key", bound=int | UUID)


def is_plain(value: object) -> bool:
    """Tell whether a value needs nothing of the ORM: no expression, no row."""
    return not hasattr(value, "resolve_expression") and not isinstance(value, models.Model)


def update_one(
    model: type[models.Model],
    key: int | UUID,
    changes: Mapping[str, Any],
    *,
    where: str,
    among: Collection[Any],
) -> bool:
    """Write plain values to a row if it meets the condition; a third of what ``update`` costs to build.

    Args:
        model: whose row.
        key: its primary key.
        changes: field → plain value.
        where: a field.
        among: the row is only written if it has one of these values in it.

    Returns:
        Whether the row was written.

    """
    statement, fields = _single(model, tuple(changes), where)
    values = [
        field.get_db_prep_save(value, connection)
        for field, value in zip(fields, changes.values(), strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, key, list(among)])
        return bool(cursor.rowcount)


@cache
def _single(model: type[models.Model], names: tuple[str, ...], where: str) -> tuple[str, list[Field]]:
    fields = [_field(model, name) for name in names]
    key, state = _field(model, "pk"), _field(model, where)
    written = ", ".join(f"{_quoted(field.column)} = %s" for field in fields)
    return (
        f"UPDATE {_quoted(model._meta.db_table)} SET {written} "
        f"WHERE {_quoted(key.column)} = (%s)::{_type(key)} "
        f"AND {_quoted(state.column)} = ANY((%s)::{_type(state)}[])"
    ), fields


def update_each(
    model: type[models.Model],
    changes: Mapping[Key, Mapping[str, Any]],
    *,
    where: str,
    among: Collection[Any],
    common: Mapping[str, Any] | None = None,
) -> set[Key]:
    """Write every row's own values, as far as the row meets the condition when it is written.

    Args:
        model: whose rows.
        changes: primary key → field → plain value (no expressions); the same fields for every row.
        where: a field.
        among: only rows that have one of these values in it are written.
        common: field → plain value, the same for every row.

    Returns:
        The keys of the rows that were written.

    Raises:
        ValueError: two rows name different fields.

    """
    if not changes:
        return set()
    names = next(iter(changes.values())).keys()
    if any(row.keys() != names for row in changes.values()):
        raise ValueError("Every row of a batch changes the same fields.")
    key, *fields = (_field(model, name) for name in ("pk", *names))
    columns = [list(changes), *([row[name] for row in changes.values()] for name in names)]
    values = [_packed(field, column) for field, column in zip((key, *fields), columns, strict=True)]
    shared = {_field(model, name): value for name, value in (common or {}).items()}
    same = [field.get_db_prep_save(value, connection) for field, value in shared.items()]
    statement = _update(model, key, fields, list(shared), _field(model, where))
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, list(among), *same, list(among)])
        return {written for (written,) in cursor.fetchall()}


def insert_new(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], *, returning: Sequence[str]
) -> set[tuple[Any, ...]]:
    """Insert the rows that break no unique constraint; of equal ones among them the first.

    Args:
        model: whose rows.
        rows: field → plain value; every column without a default of the database, and the same for every row.
        returning: fields.

    Returns:
        Those fields of the rows that were new.

    """
    if not rows:
        return set()
    fields = [_field(model, name) for name in rows[0]]
    values = [_packed(field, [row[field.name] for row in rows]) for field in fields]
    columns = ", ".join(_quoted(field.column) for field in fields)
    names = ", ".join(f"value_{number}" for number in range(len(fields)))
    read = ", ".join(_read(field, number) for number, field in enumerate(fields))
    statement = f"""
        INSERT INTO {_quoted(model._meta.db_table)} ({columns})
        SELECT {read} FROM ROWS FROM ({", ".join(map(_unpacked, fields))}) AS given({names})
        ON CONFLICT DO NOTHING
        RETURNING {", ".join(_quoted(_field(model, name).column) for name in returning)}
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {tuple(row) for row in cursor.fetchall()}


def _field(model: type[models.Model], name: str) -> Field:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    if not isinstance(field, models.Field):
        raise ValueError(f"{model.__name__} has no column {name}.")
    return field


def _packed(field: Field, column: Sequence[Any]) -> Any:
    """Return one column's values as one parameter: JSON in JSON, for arrays of it are slow to write."""
    if isinstance(field, models.JSONField):
        return json.dumps(column, cls=field.encoder)
    return [field.get_db_prep_save(value, connection) for value in column]


def _unpacked(field: Field) -> str:
    if isinstance(field, models.JSONField):
        return "jsonb_array_elements((%s)::jsonb)"
    # Without the type's length: a cast to a shorter one would cut the value silently.
    return f"unnest((%s)::{_type(field)}[])"


def _update(
    model: type[models.Model], key: Field, own: Sequence[Field], shared: Sequence[Field], where: Field
) -> str:
    table, pk, state = (_quoted(name) for name in (model._meta.db_table, key.column, where.column))
    condition = f"held.{state} = ANY((%s)::{_type(where)}[])"
    names = ", ".join(["key", *(f"value_{number}" for number in range(len(own)))])
    written = ", ".join(
        [
            *(f"{_quoted(field.column)} = %s" for field in shared),
            *(f"{_quoted(field.column)} = {_read(field, number)}" for number, field in enumerate(own)),
        ]
    )
    return f"""
        WITH given AS MATERIALIZED (
            SELECT * FROM ROWS FROM ({", ".join(map(_unpacked, (key, *own)))}) AS given({names})
        ),
        locked AS (
            SELECT held.{pk} AS key FROM {table} AS held
            WHERE held.{pk} IN (SELECT key FROM given) AND {condition}
            ORDER BY held.{pk} FOR NO KEY UPDATE
        )
        UPDATE {table} AS held SET {written}
        FROM given JOIN locked USING (key)
        WHERE held.{pk} = given.key AND {condition}
        RETURNING held.{pk}
    """


def _read(field: Field, number: int) -> str:
    if isinstance(field, models.JSONField):
        return f"NULLIF(given.value_{number}, 'null'::jsonb)"
    return f"given.value_{number}"


def _quoted(name: str | None) -> str:
    return str(connection.ops.quote_name(name or ""))


def _type(field: Field) -> str:
    return str(field.db_type(connection)).partition("(")[0]
