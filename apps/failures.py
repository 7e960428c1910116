"""Why a piece of work did not succeed, as one typed record that every app shares."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self

from apps.errors import Invalid, OrchestratorError

MAX_MESSAGE_CHARACTERS = 4_000


class FailureKind(StrEnum):
    """Who can do something about a failure."""

    PRODUCT = "product"  # the work itself said no: code, tests, checks
    PLATFORM = "platform"  # we broke
    PROVIDER = "provider"  # a model or hosting provider refused
    USER = "user"  # the person must say or change something


class Ended(OrchestratorError):
    """Work ended otherwise than it was meant to; every way of ending says whose move it is then."""

    code = "ended"
    kind: ClassVar[FailureKind] = FailureKind.PROVIDER
    retryable: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What went wrong, where, whose move it is, and whether trying again may help."""

    stage: str
    kind: FailureKind
    code: str
    message: str
    retryable: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the form that rows and the API carry."""
        record = asdict(self)
        record["kind"] = str(self.kind)
        record["message"] = self.message[:MAX_MESSAGE_CHARACTERS]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Read a record written by ``as_json``."""
        return cls(
            stage=record["stage"],
            kind=FailureKind(record["kind"]),
            code=record["code"],
            message=record["message"],
            retryable=record.get("retryable", False),
            details=record.get("details", {}),
        )

    @classmethod
    def from_error(cls, error: OrchestratorError, *, stage: str) -> Self:
        """Turn an error of ours into a record: a bad request is the product's, the rest the platform's."""
        product = isinstance(error, Invalid)
        return cls(
            stage=stage,
            kind=FailureKind.PRODUCT if product else FailureKind.PLATFORM,
            code=error.error_code,
            message=error.message,
            retryable=not product,
            details=error.details,
        )
