"""Works slowly and visibly on request, so that tests can measure what is lost when it is killed.

A line `rehearsal: edits:N` in the task asks for it: for N seconds one numbered, dated line after another is
written into a file of the checkout, and a commit is made now and then. The ordinary work follows.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker_image.rehearsal import checkout as git_checkout

FILE: Final = "rehearsal-notes.txt"
EVERY_SECONDS: Final = 0.5
LINES_PER_COMMIT: Final = 9
LONGEST_SECONDS: Final = 3_600
_MODE: Final = "edits:"


def is_known(mode: str) -> bool:
    """Tell whether a mode asks for notes."""
    return mode.startswith(_MODE) and mode.removeprefix(_MODE).isdecimal()


def keep(mode: str | None, checkout: Path, say: Callable[[str, str, int], None]) -> None:
    """Write notes for as long as the mode says, nothing if it asks for none.

    Raises:
        GitFailed: a commit was refused.

    """
    if mode is None or not is_known(mode):
        return
    seconds = min(int(mode.removeprefix(_MODE)), LONGEST_SECONDS)
    for number in range(1, int(seconds / EVERY_SECONDS) + 1):
        with (checkout / FILE).open("a", encoding="utf-8") as file:
            file.write(f"{number} {time.time():.3f}\n")
        if number % LINES_PER_COMMIT == 0:
            git_checkout.commit(checkout, f"Keep notes up to {number}\n\nWritten by the rehearsal agent.")
            say(f"Committed {number} notes as told", "notes", 30)
        time.sleep(EVERY_SECONDS)
