"""One running system for all journeys of a session, and the chat service that it talks to."""

from collections.abc import Iterator

import pytest

from tests.journeys.world import World, running
from tests.telegram_server import TelegramServer


@pytest.fixture(scope="session")
def telegram() -> Iterator[TelegramServer]:
    """The double of Telegram."""
    with TelegramServer() as started:
        yield started


@pytest.fixture(scope="session")
def world(telegram: TelegramServer) -> Iterator[World]:
    """The shared system. Tests that kill processes use it too: it must survive that."""
    settings = {"TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_API_BASE_URL": telegram.url}
    with running(settings=settings) as started:
        yield started
