"""Field types for schemas: every value that passes can be stored and read back."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, StringConstraints

LARGEST_INTEGER = 2**63 - 1
# The value of a field that a PATCH did not send; `update_record` leaves its column alone.
OMITTED: Any = None


def _check_web_address(value: str) -> str:
    HttpUrl(value)
    return value


ShortText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)
]
LongText = Annotated[str, StringConstraints(max_length=20_000)]
Integer = Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Year = Annotated[int, Field(ge=0, le=9999)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$", max_length=254)
]
WebUrl = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_check_web_address)]

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
