"""Reads a turn out of an input entry; an unreadable one is answered where that is possible."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from worker_image.contract import DeveloperWorkerInput, ErrorCode, POWorkerInput, WorkerInput, WorkerType
from worker_image.journal import TurnResult
from worker_image.outcome import failure
from worker_image.runners.base import parse_object
from worker_image.streams import Entry
from worker_image.turn import make_result

MODELS: Mapping[WorkerType, type[DeveloperWorkerInput | POWorkerInput]] = {
    WorkerType.DEVELOPER: DeveloperWorkerInput,
    WorkerType.PO: POWorkerInput,
}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that holds no turn."""

    reason: str
    """What is wrong with it, by field, without its values."""
    answer: TurnResult | None
    """The typed failure to send, if the entry at least names the turn."""


def read_input(entry: Entry, worker_type: WorkerType) -> WorkerInput | Unreadable:
    """Return the turn in an entry."""
    if entry.data is None:
        return Unreadable("the entry is empty", None)
    try:
        return MODELS[worker_type].read(entry.data)
    except ValidationError as error:
        fields = [
            f"{'.'.join(map(str, item['loc'])) or 'message'}: {item['type']}" for item in error.errors()
        ]
        reason = "; ".join(fields[:10])
        return Unreadable(reason, _answer(entry.data, worker_type, reason))


def _answer(data: bytes, worker_type: WorkerType, reason: str) -> TurnResult | None:
    words = parse_object(data.decode(errors="replace")) or {}
    names = {"request_id", "task_id", "chat_id", "correlation_id"} & words.keys()
    minimal = {name: words[name] for name in names if name in MODELS[worker_type].model_fields}
    filler = {"prompt": "unreadable", "project_id": "unknown"}
    fields = {name: value for name, value in filler.items() if name in MODELS[worker_type].model_fields}
    try:
        turn = MODELS[worker_type].model_validate({**fields, **minimal})
    except ValidationError:
        return None
    return make_result(turn, failure(ErrorCode.INPUT_UNREADABLE, f"the turn cannot be read: {reason}"))
