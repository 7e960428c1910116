"""The bot starts with a token, or not at all where it matters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsInvalid

TOKEN = "123456:" + "a" * 35


def test_token_is_read_and_never_shown() -> None:
    settings = Settings.from_environment({"TELEGRAM_BOT_TOKEN": TOKEN})

    assert settings.token == TOKEN
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "TELEGRAM_BOT_TOKEN"),
        ({"TELEGRAM_BOT_TOKEN": "placeholder"}, "TELEGRAM_BOT_TOKEN"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "APP_ENV": "moon"}, "APP_ENV"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    ],
)
def test_wrong_variable_is_refused_by_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named) as refusal:
        Settings.from_environment(environment)

    assert "placeholder" not in str(refusal.value)


def test_development_needs_no_token() -> None:
    settings = Settings.from_environment({"APP_ENV": "development"})

    assert settings.token == ""


def test_process_without_token_ends_and_says_why(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "bot"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("TELEGRAM_BOT_TOKEN is missing")
