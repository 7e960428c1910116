"""Fixtures of the tests of every app."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.conf import settings

# Makes this the current Celery application: tasks are then sent to the tests' broker.
from orchestrator.celery import app as celery_app


@pytest.fixture
def enqueued(broker: Any) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What is handed to Celery, as (task name, keyword arguments)."""
    messages: list[tuple[str, dict[str, Any]]] = []

    def note(sender: str, body: Any, **_: Any) -> None:
        messages.append((sender, body[1]))

    before_task_publish.connect(note, weak=False, dispatch_uid="enqueued")
    assert celery_app.conf.broker_url == settings.REDIS_URL
    yield messages
    before_task_publish.disconnect(dispatch_uid="enqueued")
