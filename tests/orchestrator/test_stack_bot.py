"""The embedded stack has a bot where the settings name one."""

from pathlib import Path

import pytest

from orchestrator.stack import Stack
from orchestrator.stack.greeting import bot_line
from tests.telegram_server import TelegramServer

pytestmark = pytest.mark.unit

TOKEN = "123456789:AAHsecretsecretsecretsecretsecretsec"


@pytest.mark.parametrize(("token", "is_there"), [(TOKEN, True), ("", False)])
def test_bot_runs_where_a_token_is_set(tmp_path: Path, token: str, is_there: bool):
    stack = Stack(tmp_path, {"TELEGRAM_BOT_TOKEN": token})

    specs = {spec.name: spec for spec in stack._specs()}

    assert ("runbot" in specs) is is_there
    assert TOKEN not in repr(specs)


@pytest.mark.parametrize("is_known", [True, False])
def test_who_starts_it_is_told_what_the_bot_is_called(is_known: bool, caplog: pytest.LogCaptureFixture):
    with TelegramServer() as telegram, caplog.at_level("INFO"):
        token = telegram.token if is_known else TOKEN
        said = f"@{telegram.bot.username}; " if is_known else "Telegram does not know its token"

        line = bot_line({"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_API_BASE_URL": telegram.url})

    assert line.startswith(said)
    assert token not in line + caplog.text


def test_without_a_bot_nothing_is_said_of_one():
    assert bot_line({}) == ""
