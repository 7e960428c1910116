"""What a sentence was understood to mean."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """The type of a field."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    COUNT = "count"
    YEAR = "year"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    EMAIL = "email"
    URL = "url"
    CODE = "code"
    """A short text for addresses; made up when the client sends none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a resource."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = True  # a client must send it; never booleans and codes, which have a default
    unique: bool = False
    nullable: bool = False  # stored rows may lack it: optional, or added later

    def as_added(self, *, required: bool) -> "Field":
        """Return the field for a table whose rows lack it.

        Clients that do not know it yet keep working, unless the sentence insists on it.
        """
        if self.kind is Kind.BOOLEAN:
            return self
        return replace(self, nullable=True, required=required)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One resource of a service."""

    singular: str  # snake_case
    plural: str  # snake_case, equal to the singular for words like `equipment`
    fields: tuple[Field, ...]

    @property
    def path(self) -> str:
        """Return the path it is served under."""
        return "/" + self.plural.replace("_", "-")

    @property
    def class_name(self) -> str:
        """Return the name of its model."""
        return "".join(part.capitalize() for part in self.singular.split("_"))

    def field(self, name: str) -> Field | None:
        """Return the field of that name, if it has one."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewResource:
    """The sentence describes a resource."""

    resource: Resource
    unread: tuple[str, ...] = ()  # parts of its field list that could not be read


@dataclass(frozen=True, kw_only=True, slots=True)
class AddFields:
    """The sentence adds fields to a resource."""

    fields: tuple[Field, ...]
    target: str | None = None  # plural; None: the only one there is
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveFields:
    """The sentence takes fields away from a resource."""

    names: tuple[str, ...]
    target: str | None = None


Meaning = NewResource | AddFields | RemoveFields


class Refusal(Exception):
    """The agent will not do what the sentence asks; the reason is one of a few stable words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class SentenceNotUnderstood(Refusal):
    """No resource with fields can be read out of the sentence."""

    def __init__(self, message: str) -> None:
        super().__init__("sentence_not_understood", message)
