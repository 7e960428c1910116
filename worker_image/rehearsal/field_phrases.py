"""What reading a field list has in common in every language."""

import re
from collections.abc import Callable, Iterable, Mapping

from worker_image.rehearsal import naming
from worker_image.rehearsal.spec import Field, Kind

LARGEST_FIELD_COUNT = 40


def split_list(tail: str, separators: str, stop: str) -> list[str]:
    """Divide a list of fields into phrases.

    Args:
        tail: what follows "with".
        separators: words, as a regular expression, that stand between two fields besides commas.
        stop: words, as a regular expression, with which something begins that is not a field any more.
    """
    tail = re.sub(r"^\((.*)\)$", r"\1", tail.strip())
    # "cost (number)" states a type; any other remark is a modifier like "(unique)".
    flat = re.sub(r"\((number|text|date|datetime|url|email)\)", r" as \1", tail)
    flat = re.sub(r"\(([^)]*)\)", lambda match: " " + re.sub(r"[,;]", " ", match[1]) + " ", flat)
    flat = re.split(stop, flat)[0]
    parts = re.split(rf"\s*(?:[,;&+]|\s/\s|{separators})\s*", flat)
    return [part for part in (part.strip(" .!?\"'«»“”`*-") for part in parts) if part]


def is_short(text: str) -> bool:
    """Tell whether words can be the name of one thing rather than a list."""
    return "," not in text and 1 <= len(text.split()) <= 2


def take_modifiers(phrase: str, modifiers: Mapping[str, str]) -> tuple[list[str], frozenset[str]]:
    """Take words like "optional" out of a phrase; returns the other words and the flags."""
    words = phrase.split()
    flags = frozenset(modifiers[word] for word in words if word in modifiers)
    return [word for word in words if word not in modifiers], flags


def build(
    raw_name: str, kind: Kind | None, flags: frozenset[str], kind_of: Callable[[str], Kind]
) -> Field | None:
    """Put a field together; None if the name has nothing to make an identifier of."""
    plain = naming.identifier(raw_name)
    if not plain:
        return None
    kind = kind or kind_of(plain)
    required = "optional" not in flags
    has_default = kind in (Kind.BOOLEAN, Kind.CODE)
    return Field(
        name=naming.field_name(raw_name),
        kind=kind,
        required=required and not has_default,
        unique="unique" in flags,
        nullable=not required and not has_default,
    )


def collect(
    phrases: Iterable[str], read_field: Callable[[str], Field | None]
) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """Read phrases; returns the fields, each name once and without `id`, and what could not be read."""
    fields: dict[str, Field] = {}
    unread: list[str] = []
    for phrase in phrases:
        field = read_field(phrase) if len(fields) < LARGEST_FIELD_COUNT else None
        if field is None or field.name in fields:
            unread.append(phrase[:80])
        elif field.name != "id":
            fields[field.name] = field
    return tuple(fields.values()), tuple(unread)
