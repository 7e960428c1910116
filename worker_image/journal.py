"""What the wrapper remembers of its last turns, so that a repeated input is answered and never run twice.

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

KEPT_RESULTS = 10

TurnResult = DeveloperWorkerOutput | POWorkerOutput


class Journal:
    """The turn that runs, and the results of the last ones."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / "turns.json" if directory else None
        self._running: str | None = None
        self._results: dict[str, TurnResult] = {}
        if self._path is not None:
            self._load(read_json(self._path))

    def find_result(self, request_id: str) -> TurnResult | None:
        """Return the result of a turn, if it ended not long ago."""
        return self._results.get(request_id)

    def was_running(self, request_id: str) -> bool:
        """Tell whether this turn was begun and has no result."""
        return self._running == request_id

    def begin(self, request_id: str) -> None:
        """Remember that a turn is about to run."""
        self._running = request_id
        self._store()

    def finish(self, result: TurnResult) -> None:
        """Remember a result, before it is sent."""
        self._running = None
        self._results[result.request_id] = result
        for request_id in list(self._results)[:-KEPT_RESULTS]:
            del self._results[request_id]
        self._store()

    def _store(self) -> None:
        if self._path is not None:
            results = [result.model_dump(mode="json") for result in self._results.values()]
            write_json(self._path, {"running": self._running, "results": results})

    def _load(self, stored: dict[str, object]) -> None:
        running, results = stored.get("running"), stored.get("results")
        self._running = running if isinstance(running, str) else None
        for words in results if isinstance(results, list) else []:
            if isinstance(words, dict) and (result := _read(words)) is not None:
                self._results[result.request_id] = result


def _read(words: dict[str, object]) -> TurnResult | None:
    model = POWorkerOutput if "chat_id" in words else DeveloperWorkerOutput
    try:
        return model.model_validate(words)
    except ValidationError:
        return None
