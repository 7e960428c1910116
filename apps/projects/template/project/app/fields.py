"""Field types for schemas: every value that passes can be stored and read back."""

import datetime as dt
import secrets
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, HttpUrl, StringConstraints

LARGEST_INTEGER = 2**63 - 1
# The value of a field that a PATCH did not send; `update_record` leaves its column alone.
OMITTED: Any = None


def new_code() -> str:
    """Make up a short code that nobody can guess."""
    return secrets.token_urlsafe(6)


def _must_be_text(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("must be a text in ISO 8601 format")
    return value


def _in_utc(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    try:
        return value.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


def _refuse_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the character NUL")
    return value


def _check_web_address(value: str) -> str:
    HttpUrl(value)
    return value


ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(_refuse_nul),  # PostgreSQL stores no text with it
]
LongText = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_refuse_nul)]
Integer = Annotated[int, Field(strict=True, ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]
Year = Annotated[int, Field(strict=True, ge=0, le=9999)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Day = Annotated[dt.date, BeforeValidator(_must_be_text)]
# Without a time zone it is taken as UTC.
Moment = Annotated[dt.datetime, BeforeValidator(_must_be_text), AfterValidator(_in_utc)]
Email = Annotated[
    str,
    StringConstraints(pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$", max_length=254),
    AfterValidator(_refuse_nul),
]
WebUrl = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_check_web_address)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

RecordId = Annotated[int, Path(ge=1, le=LARGEST_INTEGER)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Offset = Annotated[int, Query(ge=0, le=LARGEST_INTEGER)]


class Payload(BaseModel):
    """What a client sends: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Record(BaseModel):
    """What a client gets: a stored row with its id."""

    model_config = ConfigDict(from_attributes=True)

    id: int
