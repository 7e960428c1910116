"""What every message of the worker contract is built from: the base models and bounded field types."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from uuid import uuid4

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import from_json

from worker_image.wire import (
    CONTRACT_VERSION,
    MAX_ERROR_CHARS,
    MAX_ID_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_PROMPT_CHARS,
    MAX_SUMMARY_CHARS,
    MAX_TEXT_CHARS,
    MAX_TIMEOUT_SECONDS,
)

logger = logging.getLogger(__name__)


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    return text


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[A-Za-z0-9._:-]+$")]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Branch = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]*$")]
Timeout = Annotated[int, Field(ge=1, le=MAX_TIMEOUT_SECONDS)]
Instructions = Annotated[str, Field(max_length=MAX_PROMPT_CHARS), AfterValidator(_without_nul)]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS), AfterValidator(_without_nul)]
Summary = Annotated[str, Field(max_length=MAX_SUMMARY_CHARS), AfterValidator(_without_nul)]
Reason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Error = Annotated[str, Field(max_length=MAX_ERROR_CHARS), AfterValidator(_without_nul)]
Line = Annotated[str, Field(max_length=MAX_MESSAGE_CHARS), AfterValidator(_without_nul)]
Answer = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_without_nul)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Moment = Annotated[AwareDatetime, AfterValidator(_as_utc)]
Count = Annotated[int, Field(ge=0)]


class Message(BaseModel):
    """Base of everything in the contract: frozen, strict when written."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, raw: str | bytes) -> Self:
        """Parse JSON that someone else wrote, ignoring (and logging the names of) unknown fields.

        Raises:
            pydantic.ValidationError: the text is not JSON or does not fit the model.

        """
        message = cls.model_validate_json(raw, extra="ignore")
        _log_unknown(cls, from_json(raw))
        return message

    @classmethod
    def read_value(cls, value: object) -> Self:
        """Like `read`, of what was JSON and is parsed already.

        Raises:
            pydantic.ValidationError: it does not fit the model.

        """
        message = cls.model_validate(value, extra="ignore")
        _log_unknown(cls, value)
        return message


class QueueMeta(Message):
    """What every message carries besides its own words."""

    version: Literal["1"] = CONTRACT_VERSION
    correlation_id: Identifier = Field(default_factory=lambda: str(uuid4()))
    timestamp: Moment = Field(default_factory=lambda: datetime.now(UTC))


def _log_unknown(model: type[BaseModel], value: object) -> None:
    if not isinstance(value, Mapping):
        return
    if unknown := sorted(str(key)[:80] for key in value.keys() - model.model_fields.keys()):
        logger.warning("contract_unknown_fields model=%s fields=%s", model.__name__, unknown[:20])
