"""Re-encrypting stored secrets with the newest key; harmless to interrupt and to repeat."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import connection, models

from apps.encryption import EncryptedTextField, cipher

BATCH_ROWS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotated:
    """What became of one column."""

    column: str
    current: int  # under the newest key already
    rotated: int  # would be, in a dry run
    undecryptable: int  # none of the keys fits; left as they are


def encrypted_columns() -> list[tuple[type[models.Model], str]]:
    """Return every encrypted column of every installed app."""
    return [
        (model, field.attname)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedTextField)
    ]


def rotate_column(model: type[models.Model], column: str, *, dry_run: bool = False) -> Rotated:
    """Encrypt every value of a column with the first of ENCRYPTION_KEYS.

    A value is replaced only while it is the one that was read, so whoever
    writes a new value meanwhile is not overwritten.
    """
    newest, known = Fernet(settings.ENCRYPTION_KEYS[0]), cipher()
    current = rotated = undecryptable = 0
    for key, stored in _values(model, column):
        try:
            newest.decrypt(stored.encode())
            current += 1
            continue
        except InvalidToken:
            pass
        try:
            fresh = known.rotate(stored.encode()).decode("ascii")
        except InvalidToken:
            undecryptable += 1
            continue
        rotated += 1 if dry_run else _replace(model, column, key, stored, fresh)
    name = f"{model._meta.label_lower}.{column}"
    return Rotated(column=name, current=current, rotated=rotated, undecryptable=undecryptable)


def _values(model: type[models.Model], column: str) -> Iterator[tuple[Any, str]]:
    """Read the stored texts in the order of the keys, a batch at a time, as they are in the database."""
    table, name, pk = _quoted(model, column)
    after: Any = None
    while True:
        where = "" if after is None else f"AND {pk} > %s"
        query = f"SELECT {pk}, {name} FROM {table} WHERE {name} IS NOT NULL {where} ORDER BY {pk} LIMIT %s"
        with connection.cursor() as cursor:
            cursor.execute(query, [BATCH_ROWS] if after is None else [after, BATCH_ROWS])
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < BATCH_ROWS:
            return
        after = rows[-1][0]


def _replace(model: type[models.Model], column: str, key: Any, stored: str, fresh: str) -> int:
    table, name, pk = _quoted(model, column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {name} = %s WHERE {pk} = %s AND {name} = %s", [fresh, key, stored]
        )
        return int(cursor.rowcount)


def _quoted(model: type[models.Model], column: str) -> tuple[str, str, str]:
    quote = connection.ops.quote_name
    key = model._meta.pk
    name = key.column if key else None
    return quote(model._meta.db_table), quote(column), quote(name or "id")
