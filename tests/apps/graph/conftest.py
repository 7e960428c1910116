"""A world in which the test plays the lower apps: it moves their rows as their reconcilers would."""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.graph import checkpoints
from tests.apps.graph.world import World


@pytest.fixture
def world(broker: Any) -> Iterator[World]:
    """An active project with a pending engineering task, and the hands of the lower apps."""
    yield World()
    checkpoints.close()
