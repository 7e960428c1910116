"""What the wrapper remembers of its last turn, so that a repeated input is answered and never run twice.

In memory, and on disk in the worker's home for the case that the wrapper itself is started again:

1. the input's result is known: the same result is sent again;
2. the turn was running when the wrapper died: it is reported as `worker_restarted`. Its agent may have done
   anything, and only the control plane knows whether another attempt is wanted;
3. the turn is unknown: it runs.
"""

from pathlib import Path

from pydantic import ValidationError

from worker_image.contract import DeveloperWorkerOutput, POWorkerOutput
from worker_image.files import read_json, write_json

TurnResult = DeveloperWorkerOutput | POWorkerOutput


class Journal:
    """The last turn and its result."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / "turn.json" if directory else None
        self._request_id: str | None = None
        self._result: TurnResult | None = None
        if self._path is not None:
            self._load(self._path)

    def find_result(self, request_id: str) -> TurnResult | None:
        """Return the result of a turn, if this was the last one and it ended."""
        return self._result if self._request_id == request_id else None

    def was_running(self, request_id: str) -> bool:
        """Tell whether this turn was begun and has no result."""
        return self._request_id == request_id and self._result is None

    def begin(self, request_id: str) -> None:
        """Remember that a turn is about to run."""
        self._request_id, self._result = request_id, None
        self._store({"request_id": request_id})

    def finish(self, result: TurnResult) -> None:
        """Remember a result, before it is sent."""
        self._request_id, self._result = result.request_id, result
        self._store({"request_id": result.request_id, "result": result.model_dump(mode="json")})

    def _store(self, value: dict[str, object]) -> None:
        if self._path is not None:
            write_json(self._path, value)

    def _load(self, path: Path) -> None:
        stored = read_json(path)
        request_id, result = stored.get("request_id"), stored.get("result")
        self._request_id = request_id if isinstance(request_id, str) else None
        if isinstance(result, dict):
            model = POWorkerOutput if "chat_id" in result else DeveloperWorkerOutput
            try:
                self._result = model.model_validate(result)
            except ValidationError:
                self._request_id = None
