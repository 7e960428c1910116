"""The adapter speaks the real protocol, and says what went wrong in our words."""

import logging
import threading
import time
import traceback

import pytest

from apps.bot import telegram as wire
from apps.bot.telegram import TelegramClient
from tests.telegram_server import Fault, Person, TelegramServer

pytestmark = pytest.mark.unit


def test_bot_is_told_who_it_is(telegram: TelegramServer, adapter: TelegramClient):
    assert adapter.get_me().username == telegram.bot.username


def test_message_has_markup_and_buttons(adapter: TelegramClient, ada: Person):
    rows = [[{"text": "Yes", "data": "y"}, {"text": "Look", "url": "https://example.org"}]]

    number = adapter.send_text(ada.id, "<b>1 &lt; 2</b>", buttons=rows)

    shown = ada.sees()[-1]
    assert (shown.message_id, shown.text) == (number, "1 < 2")
    assert shown.button_texts() == ["Yes", "Look"]


def test_message_is_edited_and_edited_to_the_same_again(adapter: TelegramClient, ada: Person):
    number = adapter.send_text(ada.id, "one")

    adapter.edit_text(ada.id, number, "two")
    adapter.edit_text(ada.id, number, "two")

    assert ada.texts() == ["two"]


def test_message_is_deleted_and_deleted_again(adapter: TelegramClient, ada: Person):
    number = adapter.send_text(ada.id, "one")

    adapter.delete(ada.id, number)
    adapter.delete(ada.id, number)

    assert ada.texts() == []


def test_file_is_fetched(telegram: TelegramServer, adapter: TelegramClient, ada: Person):
    ada.sends_document("notes.txt", b"remember")
    update = adapter.get_updates(offset=None, wait_seconds=0)[-1]

    content = adapter.fetch_file(update["message"]["document"]["file_id"])

    assert content == b"remember"


def test_file_that_is_too_large_is_refused(adapter: TelegramClient, ada: Person):
    ada.sends_document("notes.txt", b"remember")
    update = adapter.get_updates(offset=None, wait_seconds=0)[-1]

    with pytest.raises(wire.Refused) as caught:
        adapter.fetch_file(update["message"]["document"]["file_id"], max_bytes=3)

    assert caught.value.error_code == "file_too_big"


def test_tap_that_is_too_old_says_so(adapter: TelegramClient):
    with pytest.raises(wire.TapExpired):
        adapter.answer_callback("123")


def test_updates_are_waited_for(telegram: TelegramServer, adapter: TelegramClient, ada: Person):
    first = adapter.get_updates(offset=None, wait_seconds=0)[-1]["update_id"]
    threading.Timer(0.2, ada.says, ["later"]).start()

    found = adapter.get_updates(offset=first + 1, wait_seconds=5)

    assert [update["message"]["text"] for update in found] == ["later"]


def test_wait_for_updates_can_be_ended(adapter: TelegramClient):
    threading.Timer(0.2, adapter.interrupt).start()
    began = time.monotonic()

    with pytest.raises(wire.Interrupted):
        adapter.get_updates(offset=None, wait_seconds=20)

    assert time.monotonic() - began < 5
    with pytest.raises(wire.Interrupted):
        adapter.get_updates(offset=None, wait_seconds=20)


def test_webhook_is_set_and_taken_away(telegram: TelegramServer, adapter: TelegramClient):
    adapter.set_webhook("https://example.org/webhooks/telegram", secret="s3cret")

    with pytest.raises(wire.PollingConflict, match="webhook is active"):
        adapter.get_updates(offset=None, wait_seconds=0)
    assert adapter.webhook()[0] == "https://example.org/webhooks/telegram"
    adapter.delete_webhook()
    assert adapter.webhook()[0] == ""


def test_person_who_blocked_the_bot_is_told_apart_from_one_who_is_gone(adapter: TelegramClient, ada: Person):
    ada.blocks()
    with pytest.raises(wire.ChatBlocked):
        adapter.send_text(ada.id, "Hi")

    ada.leaves_telegram()
    with pytest.raises(wire.ChatGone):
        adapter.send_text(ada.id, "Hi")


@pytest.mark.parametrize(
    ("text", "error"),
    [("<b>x", wire.MarkupRefused), ("<b> </b>", wire.Refused), ("x" * 4_097, wire.Refused)],
)
def test_text_that_telegram_does_not_take_is_refused(
    adapter: TelegramClient, ada: Person, text: str, error: type[wire.TelegramError]
):
    with pytest.raises(error) as caught:
        adapter.send_text(ada.id, text)

    assert type(caught.value) is error


def test_button_that_telegram_does_not_take_is_told_apart(adapter: TelegramClient, ada: Person):
    with pytest.raises(wire.ButtonsRefused):
        adapter.send_text(ada.id, "Hi", buttons=[[{"text": "Open", "url": "http://localhost:8000"}]])


def test_pause_that_telegram_wants_is_told(telegram: TelegramServer, adapter: TelegramClient, ada: Person):
    telegram.faults.add(Fault("flood", retry_after=7))

    with pytest.raises(wire.FloodWait) as caught:
        adapter.send_text(ada.id, "Hi")

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("fault", "is_said"),
    [
        (Fault("error", status=502), False),
        (Fault("cut_before"), False),
        (Fault("cut_after"), True),
        (Fault("hang_after", seconds=1.0), True),
    ],
)
def test_outcome_that_is_not_known_is_never_called_a_failure(
    telegram: TelegramServer, adapter: TelegramClient, ada: Person, fault: Fault, is_said: bool
):
    telegram.faults.add(fault)

    with pytest.raises(wire.OutcomeUnknown):
        adapter.send_text(ada.id, "Hi")

    assert (ada.texts() == ["Hi"]) is is_said


def test_telegram_that_is_not_reached_did_nothing(telegram: TelegramServer):
    nobody = TelegramClient(telegram.token, base_url="http://127.0.0.1:1")

    with nobody as adapter, pytest.raises(wire.TelegramUnavailable) as caught:
        adapter.send_text(1, "Hi")

    assert caught.value.error_code == "telegram_unavailable"


def test_token_is_in_no_error_no_log_line_and_no_repr(
    telegram: TelegramServer, ada: Person, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    token = "123456789:AAHsecretsecretsecretsecretsecretsec"
    told = []

    for base_url in (telegram.url, "http://127.0.0.1:1", "http://no such host"):
        with TelegramClient(token, base_url=base_url, request_seconds=0.3) as adapter:
            told.append(repr(adapter) + repr(adapter._bot) + str(adapter._bot))
            for call in (adapter.get_me, lambda: adapter.fetch_file("x"), lambda: adapter.send_text(1, "x")):
                try:
                    call()
                except wire.TelegramError:
                    told.append(traceback.format_exc())

    assert len(told) == 12
    assert "secretsecret" not in "".join(told) + caplog.text
