"""The bot answers messages, shows life while it can, and says why it cannot."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import handlers
from shared import heartbeat

TOKEN = "123456:" + "a" * 35


@pytest.fixture
def start(telegram: Any, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def start(**variables: str) -> "subprocess.Popen[str]":
        environment = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(tmp_path),
            "TELEGRAM_API_URL": telegram.url,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "bot"], env=environment | variables, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _await_life(directory: Path) -> bool:
    deadline = time.monotonic() + 20
    while not heartbeat.is_fresh(directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    return heartbeat.is_fresh(directory)


def test_messages_are_answered(
    telegram: Any, start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = start(TELEGRAM_BOT_TOKEN=TOKEN)
    for text in ("/start", "/help", "what?"):
        telegram.write(text)

    answers = telegram.await_answers(3)

    assert answers == [handlers.GREETING, handlers.HELP, handlers.UNKNOWN]
    assert _await_life(tmp_path)
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "@test_bot" in log
    assert TOKEN not in log


def test_refused_token_ends_the_bot(telegram: Any, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    telegram.knows_token = False

    log = start(TELEGRAM_BOT_TOKEN=TOKEN).communicate(timeout=30)[1]

    assert log.strip().endswith("Telegram refuses TELEGRAM_BOT_TOKEN")
    assert TOKEN not in log


def test_unreachable_telegram_is_no_sign_of_life(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = start(TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_API_URL="http://127.0.0.1:9")
    assert process.stderr is not None

    said = process.stderr.readline()

    assert "Telegram does not answer yet" in said
    assert not heartbeat.is_fresh(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def test_development_idles_without_token(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = start(APP_ENV="development")

    alive = _await_life(tmp_path)

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert alive
