"""Fixtures of the projects app's tests."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.conf import settings
from django.db import connection

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


@pytest.fixture
def run_together() -> Callable[[Callable[[], Any], int], list[Any]]:
    """Call a function in several threads at the same instant; returns what each answered or raised."""

    def run(function: Callable[[], Any], count: int) -> list[Any]:
        barrier, answers = threading.Barrier(count), []

        def call() -> None:
            barrier.wait()
            try:
                answers.append(function())
            except Exception as error:
                answers.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=call) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return answers

    return run
