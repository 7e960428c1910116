"""The adapter speaks the real protocol, and says what went wrong in our words."""

import logging
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from apps.bot import telegram as adapter
from apps.bot.telegram import TelegramClient
from tests.telegram_server import Fault, Person, TelegramServer

pytestmark = pytest.mark.unit


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def client(telegram: TelegramServer) -> Iterator[TelegramClient]:
    with TelegramClient(telegram.token, base_url=telegram.url, request_seconds=0.4) as found:
        yield found


@pytest.fixture
def ada(telegram: TelegramServer) -> Person:
    person = telegram.person()
    person.says("/start")
    return person


def test_bot_is_told_who_it_is(telegram: TelegramServer, client: TelegramClient):
    assert client.get_me().username == telegram.bot.username


def test_message_has_markup_and_buttons(client: TelegramClient, ada: Person):
    rows = [[{"text": "Yes", "data": "y"}, {"text": "Look", "url": "https://example.org"}]]

    number = client.send_text(ada.id, "<b>1 &lt; 2</b>", buttons=rows)

    shown = ada.sees()[-1]
    assert (shown.message_id, shown.text) == (number, "1 < 2")
    assert shown.button_texts() == ["Yes", "Look"]


def test_message_is_edited_and_edited_to_the_same_again(client: TelegramClient, ada: Person):
    number = client.send_text(ada.id, "one")

    client.edit_text(ada.id, number, "two")
    client.edit_text(ada.id, number, "two")

    assert ada.texts() == ["two"]


def test_message_is_deleted_and_deleted_again(client: TelegramClient, ada: Person):
    number = client.send_text(ada.id, "one")

    client.delete(ada.id, number)
    client.delete(ada.id, number)

    assert ada.texts() == []


def test_document_is_sent_with_its_name_and_caption(client: TelegramClient, ada: Person):
    client.send_document(ada.id, "лог.txt", b"all of it", caption="<i>Log</i>")

    shown = ada.sees()[-1]
    assert (shown.document, shown.text) == (("лог.txt", b"all of it"), "Log")


def test_file_is_fetched(telegram: TelegramServer, client: TelegramClient, ada: Person):
    ada.sends_document("notes.txt", b"remember")
    update = client.get_updates(offset=None, wait_seconds=0)[-1]

    content = client.fetch_file(update["message"]["document"]["file_id"])

    assert content == b"remember"


def test_file_that_is_too_large_is_refused(client: TelegramClient, ada: Person):
    ada.sends_document("notes.txt", b"remember")
    update = client.get_updates(offset=None, wait_seconds=0)[-1]

    with pytest.raises(adapter.Refused) as caught:
        client.fetch_file(update["message"]["document"]["file_id"], max_bytes=3)

    assert caught.value.error_code == "file_too_big"


def test_tap_that_is_too_old_says_so(client: TelegramClient):
    with pytest.raises(adapter.TapExpired):
        client.answer_callback("123")


def test_updates_are_waited_for(telegram: TelegramServer, client: TelegramClient, ada: Person):
    first = client.get_updates(offset=None, wait_seconds=0)[-1]["update_id"]
    threading.Timer(0.2, ada.says, ["later"]).start()

    found = client.get_updates(offset=first + 1, wait_seconds=5)

    assert [update["message"]["text"] for update in found] == ["later"]


def test_wait_for_updates_can_be_ended(client: TelegramClient):
    threading.Timer(0.2, client.interrupt).start()
    began = time.monotonic()

    with pytest.raises(adapter.Interrupted):
        client.get_updates(offset=None, wait_seconds=20)

    assert time.monotonic() - began < 5
    with pytest.raises(adapter.Interrupted):
        client.get_updates(offset=None, wait_seconds=20)


def test_webhook_is_set_and_taken_away(telegram: TelegramServer, client: TelegramClient):
    client.set_webhook("https://example.org/webhooks/telegram", secret="s3cret")

    with pytest.raises(adapter.PollingConflict, match="webhook is active"):
        client.get_updates(offset=None, wait_seconds=0)
    assert client.webhook()[0] == "https://example.org/webhooks/telegram"
    client.delete_webhook()
    assert client.webhook()[0] == ""


def test_person_who_blocked_the_bot_is_told_apart_from_one_who_is_gone(client: TelegramClient, ada: Person):
    ada.blocks()
    with pytest.raises(adapter.ChatBlocked):
        client.send_text(ada.id, "Hi")

    ada.leaves_telegram()
    with pytest.raises(adapter.ChatGone):
        client.send_text(ada.id, "Hi")


@pytest.mark.parametrize(
    ("text", "error"),
    [("<b>x", adapter.MarkupRefused), ("<b> </b>", adapter.Refused), ("x" * 4_097, adapter.Refused)],
)
def test_text_that_telegram_does_not_take_is_refused(
    client: TelegramClient, ada: Person, text: str, error: type[adapter.TelegramError]
):
    with pytest.raises(error) as caught:
        client.send_text(ada.id, text)

    assert type(caught.value) is error


def test_button_that_telegram_does_not_take_is_told_apart(client: TelegramClient, ada: Person):
    with pytest.raises(adapter.ButtonsRefused):
        client.send_text(ada.id, "Hi", buttons=[[{"text": "Open", "url": "http://localhost:8000"}]])


def test_pause_that_telegram_wants_is_told(telegram: TelegramServer, client: TelegramClient, ada: Person):
    telegram.faults.add(Fault("flood", retry_after=7))

    with pytest.raises(adapter.FloodWait) as caught:
        client.send_text(ada.id, "Hi")

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
    telegram: TelegramServer, client: TelegramClient, ada: Person, fault: Fault, is_said: bool
):
    telegram.faults.add(fault)

    with pytest.raises(adapter.OutcomeUnknown):
        client.send_text(ada.id, "Hi")

    assert (ada.texts() == ["Hi"]) is is_said


def test_telegram_that_is_not_reached_did_nothing(telegram: TelegramServer):
    nobody = TelegramClient(telegram.token, base_url="http://127.0.0.1:1")

    with nobody as client, pytest.raises(adapter.TelegramUnavailable) as caught:
        client.send_text(1, "Hi")

    assert caught.value.error_code == "telegram_unavailable"


def test_token_is_in_no_error_no_log_line_and_no_repr(
    telegram: TelegramServer, ada: Person, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    token = "123456789:AAHsecretsecretsecretsecretsecretsec"
    told = []

    for base_url in (telegram.url, "http://127.0.0.1:1", "http://no such host"):
        with TelegramClient(token, base_url=base_url, request_seconds=0.3) as client:
            told.append(repr(client) + repr(client._bot) + str(client._bot))
            for call in (client.get_me, lambda: client.fetch_file("x"), lambda: client.send_text(1, "x")):
                try:
                    call()
                except adapter.TelegramError:
                    told.append(traceback.format_exc())

    assert len(told) == 12
    assert "secretsecret" not in "".join(told) + caplog.text
