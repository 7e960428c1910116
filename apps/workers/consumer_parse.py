"""Turns stream entries into reports: tolerant to unknown fields, strict otherwise. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from worker_image.contract import (
    DATA_FIELD,
    DeveloperWorkerOutput,
    Heartbeat,
    OutputBody,
    OutputEnvelope,
    OutputKind,
    POWorkerOutput,
    WorkerLifecycleEvent,
)
from worker_image.streams import Entry

_MAX_BOOT_CHARACTERS: Final = 64
_MAX_SEQ: Final = 2**63 - 1
_MAX_REASON_CHARACTERS: Final = 500

Result = DeveloperWorkerOutput | POWorkerOutput


class Unreadable(Exception):
    """An entry that does not follow the contract; the text names places and types, never values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One thing a worker said."""

    worker_id: UUID
    entry: Entry
    boot: str
    seq: int
    kind: OutputKind
    body: OutputBody
    words: dict[str, Any]
    """The body as JSON values, without what this program does not know."""
    turn_id: UUID | None
    """The turn it speaks of; None for those that speak of none."""

    @property
    def key(self) -> tuple[UUID, str, int]:
        """Return what names it for ever."""
        return self.worker_id, self.boot, self.seq


def parse(worker_id: UUID, entry: Entry) -> Report:
    """Read one entry of a worker's output.

    Raises:
        Unreadable: it does not follow the contract.

    """
    try:
        # Parsed once, as strictly as pydantic parses: neither NaN nor half a character.
        envelope = OutputEnvelope.read_value(from_json(entry.data or b"", allow_inf_nan=False))
        body = envelope.read_body()
    except ValidationError as error:
        raise Unreadable(_places(error)) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not readable: {type(error).__name__}") from None
    if len(envelope.boot) > _MAX_BOOT_CHARACTERS or envelope.seq > _MAX_SEQ:
        raise Unreadable("boot or seq is out of bounds")
    return Report(
        worker_id=worker_id,
        entry=entry,
        boot=envelope.boot,
        seq=envelope.seq,
        kind=envelope.kind,
        body=body,
        words=body.model_dump(mode="json"),
        turn_id=_turn_of(worker_id, body),
    )


def payload_of(entry: Entry) -> str:
    """Return an entry's fields as JSON text that a database can hold, whatever bytes they are."""
    text = (entry.data or b"").decode("utf-8", "backslashreplace")
    return json.dumps({DATA_FIELD: text})


def _turn_of(worker_id: UUID, body: OutputBody) -> UUID | None:
    match body:
        case Heartbeat():
            return None
        case WorkerLifecycleEvent():
            if body.worker_id != str(worker_id):
                raise Unreadable("speaks for another worker")
            return None
        case _:
            try:
                return UUID(body.request_id)
            except ValueError:
                raise Unreadable("request_id is not the id of a turn") from None


def _places(error: ValidationError) -> str:
    faults = [f"{'.'.join(map(str, fault['loc']))[:80]}: {fault['type']}" for fault in error.errors()[:10]]
    return "; ".join(faults)[:_MAX_REASON_CHARACTERS]
