"""The judge of the chats' runs sees what is lost, doubled, out of order, or acted twice."""

from typing import Any

import pytest

from tests.journeys import chat_judge as judge
from tests.journeys.chat_judge import Owed
from tests.telegram_server import Shown

pytestmark = pytest.mark.unit


def owed(number: int = 1, **fields: Any) -> Owed:
    defaults = {
        "key": f"key-{number}",
        "kind": "text",
        "status": "sent",
        "text": "<b>Hi</b>",
        "message_id": number,
    }
    return Owed(id=number, **{**defaults, **fields})


def seen(*texts: str, **fields: Any) -> dict[int, Shown]:
    return {
        number: Shown(message_id=number, text=text, is_from_bot=True, **fields)
        for number, text in enumerate(texts, 1)
    }


def test_chat_that_shows_what_was_owed_is_right() -> None:
    rows = [
        owed(1),
        owed(2, text="Bye"),
        owed(3, kind="card", text="⏳ 1"),
        owed(4, kind="action", status="dropped"),
    ]

    assert judge.problems_of_chat(rows, seen("Hi", "Bye", "⏳ 1")) == []


def test_message_that_is_there_twice_is_right_only_with_its_mark() -> None:
    marked = judge.problems_of_chat([owed(2)], seen("Hi", "(again)\nHi"))
    unmarked = judge.problems_of_chat([owed(2)], seen("Hi", "Hi"))

    assert (len(marked), len(unmarked)) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([owed(1), owed(2, text="Bye")], ("Hi",)),
        ([owed(1, status="failed")], ("Hi",)),
        ([owed(1, status="pending")], ("Hi",)),
        ([owed(1, message_id=2), owed(2, text="Bye", message_id=1)], ("Bye", "Hi")),
        ([owed(1, kind="card", text="⏳ 2")], ("⏳ 1",)),
    ],
    ids=["lost", "failed", "unsent", "out of order", "an old card"],
)
def test_what_is_wrong_is_told(rows: list[Owed], texts: tuple[str, ...]) -> None:
    assert judge.problems_of_chat(rows, seen(*texts)) != []


def test_end_is_told_by_one_card_and_one_last_word_of_that_end() -> None:
    rows = [owed(1, key="card:t:9", kind="card"), owed(2, key="end:t:9")]

    assert judge.problems_of_end("t", "canceled", rows, seen("⏹ A\n...", "⏹ Stopped: A")) == []
    assert len(judge.problems_of_end("t", "succeeded", rows, seen("⏳ A\n...", "⏹ Stopped: A"))) == 2
    assert len(judge.problems_of_end("t", "canceled", rows[:1], seen("⏹ A"))) == 1


def test_button_acts_once_and_a_foreign_tap_is_refused() -> None:
    refused = {"by": "thief", "answer": "Not yours", "is_alert": True}
    late = {"by": "thief", "answer": None, "is_alert": False}
    taken = {"by": "thief", "answer": "Stopping.", "is_alert": False}

    assert judge.problems_of_taps({"a": 1}, [refused, late]) == []
    assert len(judge.problems_of_taps({"a": 2}, [taken])) == 2


def test_message_that_no_row_knows_is_an_orphan() -> None:
    rows = [owed(2, kind="card", text="✅ A")]

    found = judge.orphans(rows, seen("⏳ A", "✅ A"))

    assert [shown.text for shown in found] == ["⏳ A"]
