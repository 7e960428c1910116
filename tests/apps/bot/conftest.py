"""Fixtures of the bot's tests."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from apps.bot.models import Chat, ChatStatus


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
