"""Fixtures of the bot's tests."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from apps.bot.models import Chat, ChatStatus
from apps.bot.telegram import TelegramClient
from tests.apps.bot.virtual_clock import VirtualClock
from tests.telegram_server import Person, TelegramServer


@pytest.fixture
def make_chat(db: None) -> Callable[..., Chat]:
    """Create a chat that may be written to; every field can be said differently."""
    numbers = count(1001)

    def make(**fields: Any) -> Chat:
        defaults = {"telegram_id": next(numbers), "status": ChatStatus.ACTIVE, "name": "Ada"}
        return Chat.objects.create(**{**defaults, **fields})

    return make


@pytest.fixture
def chat(make_chat: Callable[..., Chat]) -> Chat:
    return make_chat()


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def adapter(telegram: TelegramServer) -> Iterator[TelegramClient]:
    with TelegramClient(telegram.token, base_url=telegram.url, request_seconds=0.4) as found:
        yield found


@pytest.fixture
def ada(telegram: TelegramServer) -> Person:
    person = telegram.person()
    person.says("/start")
    return person


@pytest.fixture
def time() -> VirtualClock:
    return VirtualClock()
