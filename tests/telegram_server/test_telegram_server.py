"""The double keeps Telegram's rules where ours depend on them; seen through plain HTTP."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.telegram_server import TelegramServer
from tests.telegram_server.markup import BadMarkup, visible

pytestmark = pytest.mark.unit


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def ask(telegram: TelegramServer, method: str, token: str = "", **values: Any) -> dict[str, Any]:
    url = f"{telegram.url}/bot{token or telegram.token}/{method}"
    answer: dict[str, Any] = httpx.post(url, data=values, trust_env=False).json()
    return answer


def test_unknown_token_is_nobodys(telegram: TelegramServer):
    answer = ask(telegram, "getMe", token="1:unknown")

    assert answer == {"ok": False, "error_code": 401, "description": "Unauthorized"}


def test_bot_cannot_write_to_somebody_who_never_wrote(telegram: TelegramServer):
    answer = ask(telegram, "sendMessage", chat_id=1, text="Hi")

    assert answer["description"] == "Bad Request: chat not found"


def test_updates_are_confirmed_by_asking_for_later_ones(telegram: TelegramServer):
    telegram.person().says("one")
    first = ask(telegram, "getUpdates")["result"]

    again = ask(telegram, "getUpdates")["result"]
    later = ask(telegram, "getUpdates", offset=first[0]["update_id"] + 1)["result"]

    assert again == first
    assert later == []


def test_what_came_twice_or_turned_round_is_counted_only_when_it_does(telegram: TelegramServer):
    faults, person = telegram.faults, telegram.person()
    faults.are_updates_doubled = faults.are_updates_reversed = True
    ask(telegram, "getUpdates")
    before = (len(faults.doubled), faults.reversals)
    first = person.says("one")

    told = [update["update_id"] for update in ask(telegram, "getUpdates")["result"]]
    alone = (len(faults.doubled), faults.reversals)
    person.says("two")
    ask(telegram, "getUpdates")

    assert told == [first, first]
    assert (before, alone) == ((0, 0), (1, 0))
    assert (len(faults.doubled), faults.reversals) == (1, 1)


def test_second_poller_ends_the_first(telegram: TelegramServer):
    answers: list[dict[str, Any]] = []
    first = threading.Thread(target=lambda: answers.append(ask(telegram, "getUpdates", timeout=5)))
    first.start()
    while not telegram.bot.polls_at_once:
        pass

    ask(telegram, "getUpdates", timeout=0)
    first.join()

    assert answers[0]["error_code"] == 409
    assert "terminated by other getUpdates request" in answers[0]["description"]


def test_polling_is_refused_while_a_webhook_is_set(telegram: TelegramServer):
    ask(telegram, "setWebhook", url="https://example.org/webhooks/telegram")

    answer = ask(telegram, "getUpdates")

    assert "use deleteWebhook" in answer["description"]


def test_message_that_did_not_change_is_not_edited(telegram: TelegramServer):
    ada = telegram.person()
    ada.says("/start")
    sent = ask(telegram, "sendMessage", chat_id=ada.id, text="Hi")["result"]["message_id"]

    answer = ask(telegram, "editMessageText", chat_id=ada.id, message_id=sent, text="Hi")

    assert "message is not modified" in answer["description"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a <b>bold", 'Can\'t find end tag corresponding to start tag "b"'),
        ("é<blink>x</blink>", 'Unsupported start tag "blink" at byte offset 2'),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("1 <", "Unclosed start tag at byte offset 2"),
    ],
)
def test_bad_markup_is_refused_in_telegrams_words(text: str, words: str):
    with pytest.raises(BadMarkup, match=re.escape(words)):
        visible(text)


def test_only_what_is_visible_counts():
    shown = visible('<a href="https://example.org">1 &lt; 2</a> &amp; <b>3</b> &nbsp;')

    assert shown == "1 < 2 & 3 &nbsp;"
