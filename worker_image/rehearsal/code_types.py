"""How each type of field is written in the generated code."""

from dataclasses import dataclass
from typing import Any, Final

from worker_image.rehearsal.spec import Kind, Resource


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeType:
    """The names of one type in models and schemas, and values for its tests."""

    schema: str  # a name of app.fields
    python: str
    first: Any  # two values that pass
    second: Any
    wrong: Any  # one that does not


CODE_TYPES: Final = {
    Kind.TEXT: CodeType(schema="ShortText", python="str", first="First", second="Second", wrong=["no text"]),
    Kind.LONG_TEXT: CodeType(
        schema="LongText", python="str", first="First words", second="Second words", wrong=["no text"]
    ),
    Kind.INTEGER: CodeType(schema="Integer", python="int", first=3, second=-7, wrong="many"),
    Kind.COUNT: CodeType(schema="Count", python="int", first=3, second=7, wrong=-1),
    Kind.YEAR: CodeType(schema="Year", python="int", first=1999, second=2024, wrong="last year"),
    Kind.NUMBER: CodeType(schema="Number", python="float", first=4.5, second=9.25, wrong="high"),
    Kind.BOOLEAN: CodeType(schema="Flag", python="bool", first=True, second=False, wrong="perhaps"),
    Kind.DATE: CodeType(
        schema="Day", python="dt.date", first="2024-02-29", second="2025-01-31", wrong="someday"
    ),
    Kind.DATETIME: CodeType(
        schema="Moment",
        python="dt.datetime",
        first="2024-02-29T18:30:00Z",
        second="2025-01-31T09:00:00Z",
        wrong="soon",
    ),
    Kind.EMAIL: CodeType(
        schema="Email", python="str", first="first@example.com", second="second@example.com", wrong="nobody"
    ),
    Kind.URL: CodeType(
        schema="WebUrl",
        python="str",
        first="https://example.com/first",
        second="https://example.com/second",
        wrong="nowhere",
    ),
    Kind.CODE: CodeType(schema="Code", python="str", first="first-1", second="second-2", wrong="not a code"),
}
KIND_OF_SCHEMA: Final = {written.schema: kind for kind, written in CODE_TYPES.items()}


def is_shortener(resource: Resource) -> bool:
    """Tell whether the resource leads from a code to an address."""
    code, url = resource.field("code"), resource.field("url")
    return bool(code and url and code.kind is Kind.CODE and url.kind is Kind.URL)


def words(name: str) -> str:
    """Return an identifier as words."""
    return name.replace("_", " ")


def article(name: str) -> str:
    """Return an identifier as words with its indefinite article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {words(name)}"
