"""Fields of nouns that everybody understands, for sentences that list none.

A noun outside this table needs its fields in the sentence: the agent does not invent them.
"""

from typing import Final

from worker_image.rehearsal.spec import Field, Kind


def _text(name: str, kind: Kind = Kind.TEXT) -> Field:
    return Field(name=name, kind=kind)


def _optional(name: str, kind: Kind = Kind.TEXT) -> Field:
    return Field(name=name, kind=kind, required=False, nullable=True)


def _flag(name: str) -> Field:
    return Field(name=name, kind=Kind.BOOLEAN, required=False)


def _unique(name: str, kind: Kind = Kind.TEXT) -> Field:
    return Field(name=name, kind=kind, unique=True)


DEFAULT_FIELDS: Final[dict[str, tuple[Field, ...]]] = {
    "books": (_text("title"), _text("author"), _optional("year", Kind.YEAR)),
    "films": (_text("title"), _optional("director"), _optional("year", Kind.YEAR)),
    "movies": (_text("title"), _optional("director"), _optional("year", Kind.YEAR)),
    "links": (_text("url", Kind.URL), Field(name="code", kind=Kind.CODE, required=False, unique=True)),
    "bookmarks": (_text("url", Kind.URL), _text("title")),
    "todos": (_text("title"), _flag("done"), _optional("due_date", Kind.DATE)),
    "tasks": (_text("title"), _flag("done"), _optional("due_date", Kind.DATE)),
    "notes": (_text("title"), _text("text", Kind.LONG_TEXT)),
    "posts": (_text("title"), _text("body", Kind.LONG_TEXT), _flag("published")),
    "matches": (_text("opponent"), _text("starts_at", Kind.DATETIME), _optional("place")),
    "events": (_text("title"), _text("starts_at", Kind.DATETIME), _optional("place")),
    "meetings": (_text("title"), _text("starts_at", Kind.DATETIME), _optional("place")),
    "contacts": (_text("name"), _optional("phone"), _optional("email", Kind.EMAIL)),
    "expenses": (_text("amount", Kind.NUMBER), _text("category"), _text("date", Kind.DATE)),
    "recipes": (
        _text("title"),
        _text("ingredients", Kind.LONG_TEXT),
        _text("instructions", Kind.LONG_TEXT),
    ),
    "purchases": (
        _text("name"),
        _optional("quantity", Kind.COUNT),
        _flag("bought"),
    ),
    "employees": (_text("name"), _unique("email", Kind.EMAIL), _optional("position")),
    "users": (_text("name"), _unique("email", Kind.EMAIL)),
    "customers": (_text("name"), _unique("email", Kind.EMAIL), _optional("phone")),
    "clients": (_text("name"), _optional("phone"), _optional("email", Kind.EMAIL)),
    "products": (_text("name"), _text("price", Kind.NUMBER), _optional("description", Kind.LONG_TEXT)),
    "habits": (_text("name"), _optional("goal")),
    "workouts": (_text("name"), _text("date", Kind.DATE), _optional("duration", Kind.COUNT)),
}
