"""What is wrong with a chat after its runs: pure; what was owed is compared with what the person sees."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.telegram_server import Shown
from tests.telegram_server.markup import visible

AGAIN: Final = "(again)"
#: Of the moment: they may come too late and are then not sent at all.
FLEETING: Final = ("action", "callback_answer")
#: What the card of a task begins with that is over, and its status.
ENDS: Final = {"succeeded": "✅", "failed": "❌", "canceled": "⏹"}


@dataclass(frozen=True, kw_only=True)
class Owed:
    """A row of the outbox."""

    id: int
    key: str
    kind: str
    status: str
    text: str
    message_id: int | None
    is_plain: bool = False
    code: str = ""

    @property
    def seen(self) -> str:
        """Return what a person reads of it."""
        return (self.text if self.is_plain else visible(self.text)).strip()


def problems_of_chat(owed: Sequence[Owed], seen: Mapping[int, Shown]) -> list[str]:
    """Say what was lost, doubled without a mark, out of order, or is not what was wanted last."""
    return [*_unsent(owed), *_texts(owed, seen), *_cards(owed, seen), *_disorder(owed)]


def problems_of_end(task: str, status: str, owed: Sequence[Owed], seen: Mapping[int, Shown]) -> list[str]:
    """Say what is wrong with how the end of a task was told: one card, one last word, both of that end."""
    found = []
    mark = ENDS.get(status, "?")
    cards = [one for one in owed if one.key.startswith(f"card:{task}:")]
    words = [one for one in owed if one.key.startswith(f"end:{task}:")]
    for name, rows in (("card", cards), ("last word", words)):
        if len(rows) != 1:
            found.append(f"{task} has {len(rows)} rows for its {name}")
        for row in rows:
            shown = seen.get(row.message_id or 0)
            if shown is None or not shown.text.removeprefix(AGAIN).strip().startswith(mark):
                found.append(f"the {name} of {task}, which is {status}, shows: {shown and shown.text[:80]!r}")
            elif name == "card" and "Stop" in shown.button_texts():
                found.append(f"the card of {task}, which is {status}, can still be stopped")
    return found


def orphans(owed: Sequence[Owed], seen: Mapping[int, Shown]) -> list[Shown]:
    """Return the messages of the bot that no row knows: nobody could know that they had arrived."""
    known = {one.message_id for one in owed}
    told = Counter(one.seen for one in owed if one.kind == "text")
    return [
        shown
        for number, shown in seen.items()
        if shown.is_from_bot
        and not shown.is_deleted
        and number not in known
        and shown.text.removeprefix(AGAIN).strip() not in told
    ]


def problems_of_taps(uses: Mapping[str, int], taps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which button acted more than once, and which foreign tap was not refused.

    Args:
        uses: how often each button was used, of those that were.
        taps: each with whose it was and how it was answered.

    """
    found = [f"the button {button} acted {count} times" for button, count in uses.items() if count != 1]
    for tap in taps:
        if tap["by"] == "thief" and tap["answer"] is not None and not tap["is_alert"]:
            found.append(f"a foreign tap was answered: {tap['answer']!r}")
    return found


def _unsent(owed: Sequence[Owed]) -> list[str]:
    return [
        f"{one.key} is {one.status} {one.code}"
        for one in owed
        if one.status != "sent"
        # A notice that the assistant still works is withdrawn with the answer.
        and not (one.status == "dropped" and (one.kind in FLEETING or one.key.startswith("notice:")))
    ]


def _texts(owed: Sequence[Owed], seen: Mapping[int, Shown]) -> list[str]:
    wanted = Counter(one.seen for one in owed if one.kind == "text" and one.status == "sent")
    plain: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    for shown in seen.values():
        if shown.is_from_bot:
            is_again = shown.text.startswith(AGAIN)
            (marked if is_again else plain)[shown.text.removeprefix(AGAIN).strip()] += 1
    found = []
    for text, count in wanted.items():
        if plain[text] > count:
            found.append(f"said {plain[text]} times instead of {count}, without a mark: {text[:80]!r}")
        if plain[text] + marked[text] < count:
            found.append(f"said {plain[text] + marked[text]} times instead of {count}: {text[:80]!r}")
    return found


def _cards(owed: Sequence[Owed], seen: Mapping[int, Shown]) -> list[str]:
    found = []
    for one in owed:
        if one.kind != "card" or one.status != "sent":
            continue
        shown = seen.get(one.message_id or 0)
        if shown is None:
            found.append(f"{one.key} is nowhere")
        elif not shown.is_deleted and shown.text.removeprefix(AGAIN).strip() != one.seen:
            found.append(f"{one.key} shows {shown.text[:80]!r} instead of {one.seen[:80]!r}")
    return found


def _disorder(owed: Sequence[Owed]) -> list[str]:
    """Messages of a chat are sent in the order in which they were owed."""
    found = []
    by_message: dict[int, list[str]] = defaultdict(list)
    last = 0
    for one in sorted(owed, key=lambda row: row.id):
        if one.kind not in ("text", "card", "document") or one.message_id is None:
            continue
        by_message[one.message_id].append(one.key)
        if one.message_id < last:
            found.append(f"{one.key} was said before what was owed earlier")
        last = max(last, one.message_id)
    return found + [f"one message is {keys}" for keys in by_message.values() if len(keys) > 1]
