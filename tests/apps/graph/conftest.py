"""A world in which the test plays the lower apps: it moves their rows as their reconcilers would."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from apps.graph import checkpoints

# Makes this the current Celery application: messages go to the tests' broker, not to a default one.
from orchestrator.celery import app as celery_app
from tests.apps.graph.world import World


@pytest.fixture(scope="session")
def memory(django_db_setup: None) -> Iterator[None]:
    """The flow engine's connections, closed before the test database is dropped."""
    assert celery_app.conf.broker_url == settings.REDIS_URL
    yield
    checkpoints.close()


@pytest.fixture
def world(db: None, memory: None, broker: Any) -> World:
    """An active project with a pending engineering task, and the hands of the lower apps."""
    return World()
