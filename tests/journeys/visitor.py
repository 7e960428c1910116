"""Somebody who uses a project all the time, and remembers what they saw."""

import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Final

import httpx

_EVERY_SECONDS: Final = 0.05


class Visitor:
    """Asks an address twenty times a second, each time over a new connection.

    Attributes:
        seen: what came of it, and how often: "well", or what was wrong.
    """

    def __init__(self, url: str, *, is_well: Callable[[httpx.Response], bool]) -> None:
        """Describe a visitor who has not come yet.

        Args:
            url: what is asked.
            is_well: tells the project's own answer from any other.
        """
        self.seen: Counter[str] = Counter()
        self._url = url
        self._is_well = is_well
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._gone.set()
        self._thread.join()

    def _visit(self) -> None:
        while not self._gone.wait(_EVERY_SECONDS):
            try:
                answer = httpx.get(self._url, trust_env=False, timeout=10)
                word = "well" if self._is_well(answer) else f"{answer.status_code} {answer.text[:100]}"
            except httpx.HTTPError as error:
                word = type(error).__name__
            self.seen[word] += 1
