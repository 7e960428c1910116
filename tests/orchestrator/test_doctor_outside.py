"""What the doctor says about the bot."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator import doctor_outside
from tests.telegram_server import TelegramServer

pytestmark = pytest.mark.unit


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def line_of(values: Mapping[str, str]) -> str:
    found = {finding.name: finding for finding in doctor_outside.examine(values, Path("/nowhere"))}
    return found["telegram"].line()


def test_bot_that_telegram_knows_is_named(telegram: TelegramServer):
    line = line_of({"TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_API_BASE_URL": telegram.url})

    assert line == f"ok   telegram: the bot is @{telegram.bot.username}, by polling"


def test_token_that_is_nobodys_is_red_and_never_shown(telegram: TelegramServer):
    token = "123456789:AAHsecretsecretsecretsecretsecretsec"

    line = line_of({"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_API_BASE_URL": telegram.url})

    assert line.startswith("RED  telegram: Telegram knows no bot with this token → set TELEGRAM_BOT_TOKEN")
    assert "secret" not in line


def test_telegram_that_does_not_answer_is_a_note():
    line = line_of({"TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_API_BASE_URL": "http://127.0.0.1:1"})

    assert line.startswith("note telegram: Telegram does not answer")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TELEGRAM_MODE": "pigeon"}, "RED  telegram: TELEGRAM_MODE is pigeon"),
        ({"TELEGRAM_MODE": "webhook"}, "RED  telegram: there is no address for its webhook"),
    ],
)
def test_settings_that_cannot_work_are_red(more: Mapping[str, str], words: str):
    assert line_of({"TELEGRAM_BOT_TOKEN": "1:x", **more}).startswith(words)


def test_no_bot_is_fine():
    assert line_of({}) == "ok   telegram: no bot: TELEGRAM_BOT_TOKEN is not set"
