"""Tells a journey to whoever watches it: who said what in the chat, what the card shows, what was found."""

import re
import threading
import time
from types import TracebackType
from typing import Self

from tests.telegram_server import Person

_LOOK_SECONDS = 0.2
_WIDTH = 110
#: The card's last line, which is another one at every look.
_SUM = re.compile(r"[\d:]+ (s|min|h)? ?in all.*")


class Narration(threading.Thread):
    """Prints what happens in a person's chat as it happens, and what the test finds beside it."""

    def __init__(self, person: Person, *, secret: str) -> None:
        """Prepare.

        Args:
            person: whose chat is told.
            secret: what is not told, though the person says it.
        """
        super().__init__(daemon=True)
        self._person, self._secret = person, secret
        self._known: dict[int, set[str]] = {}
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._telling = threading.Lock()
        self.found: list[tuple[float, str]] = []

    def note(self, words: str) -> None:
        """Tell what was looked at and found right."""
        self._look()
        self.found.append((self._seconds(), words))
        self._tell("checked", words)

    def run(self) -> None:
        """Look at the chat until the end."""
        while not self._ended.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        name = str(self._person.json["first_name"])
        with self._telling:
            for shown in self._person.sees():
                who = "bot" if shown.is_from_bot else name
                lines = [*shown.text.splitlines(), *(f"[ {text} ]" for text in shown.button_texts())]
                known = self._known.setdefault(shown.message_id, set())
                for line in lines:
                    if line.strip() and line not in known and not _SUM.fullmatch(line):
                        known.add(line)
                        self._tell(who, line.replace(self._secret, "(the secret)"))

    def _tell(self, who: str, words: str) -> None:
        print(f"{self._seconds():7.1f} s  {who:<8} {words[:_WIDTH]}", flush=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        print(flush=True)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()
        self._look()
        end = "It broke off." if kind else "The whole chain works."
        print(f"\n{end} {self._seconds():.1f} s", flush=True)
        for seconds, words in self.found:
            print(f"{seconds:7.1f} s  ✓ {words}", flush=True)
