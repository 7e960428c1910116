"""Works slowly and visibly on request, so that tests can measure what is lost when it is killed.

A line in the task asks for it. For N seconds one numbered, dated line after another is written into a file of
the checkout. With `rehearsal: edits:N` everything is committed now and then, with `drafts:N` nothing is, and
with `aside:N` a file beside it is committed while the notes stay uncommitted. The ordinary work follows.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from worker_image.rehearsal import checkout as git_checkout

FILE: Final = "rehearsal-notes.txt"
BESIDE: Final = "rehearsal-beside.txt"
COMMITTED: Final = ".git/rehearsal-commits"
"""Each commit once git has said that it is made, one a line."""
EVERY_SECONDS: Final = 0.5
LINES_PER_COMMIT: Final = 9
LONGEST_SECONDS: Final = 3_600


class Habit(StrEnum):
    """What is committed while the notes are written."""

    EDITS = "edits"
    DRAFTS = "drafts"
    ASIDE = "aside"


def is_known(mode: str) -> bool:
    """Tell whether a mode asks for notes."""
    habit, _, seconds = mode.partition(":")
    return habit in set(Habit) and seconds.isdecimal()


def keep(mode: str | None, checkout: Path, say: Callable[[str, str, int], None]) -> None:
    """Write notes for as long as the mode says, nothing if it asks for none.

    Raises:
        GitFailed: a commit was refused.

    """
    if mode is None or not is_known(mode):
        return
    habit, _, seconds = mode.partition(":")
    (checkout / COMMITTED).touch()
    for number in range(1, int(min(int(seconds), LONGEST_SECONDS) / EVERY_SECONDS) + 1):
        _append(checkout / FILE, f"{number} {time.time():.3f}")
        if number % LINES_PER_COMMIT == 0:
            _commit(checkout, Habit(habit), number)
            say(f"Wrote {number} notes as told", "notes", 30)
        time.sleep(EVERY_SECONDS)


def _commit(checkout: Path, habit: Habit, number: int) -> None:
    if habit is Habit.DRAFTS:
        return
    message = f"Keep notes up to {number}\n\nWritten by the rehearsal agent."
    if habit is Habit.ASIDE:
        _append(checkout / BESIDE, str(number))
    sha = git_checkout.commit(checkout, message, path=BESIDE if habit is Habit.ASIDE else None)
    if sha is not None:
        _append(checkout / COMMITTED, sha)


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
