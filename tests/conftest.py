"""Fixtures of every test. The servers themselves come from `tests/plugin.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

LEVELS = {"unit", "service", "integration", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that no level claims: it would run in no target."""
    unclaimed = [item.nodeid for item in items if not LEVELS & {mark.name for mark in item.iter_markers()}]
    if unclaimed:
        raise pytest.UsageError(
            "These tests carry no level (unit, service, integration, e2e):\n" + "\n".join(unclaimed[:20])
        )
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, str, int]:
    """Leave the random order alone, but tell journeys last and as they are written: each is one story."""
    path, line, _ = item.location
    return (True, path, line or 0) if item.get_closest_marker("e2e") else (False, "", 0)


@pytest.fixture
def var_dir() -> Path:
    """The state directory of this test session."""
    return Path(settings.VAR_DIR)


@pytest.fixture
def channel() -> Iterator["redis.Redis"]:
    """The result channel as its operator, emptied afterwards."""
    client = redis.Redis.from_url(settings.CHANNEL_REDIS_URL, decode_responses=True)
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def broker() -> Iterator["redis.Redis"]:
    """The broker, emptied afterwards."""
    client = redis.Redis.from_url(settings.REDIS_URL, decode_responses=True)
    client.flushall()
    yield client
    client.flushall()
    client.close()
