"""One running system for all journeys of a session."""

from collections.abc import Iterator

import pytest

from tests.journeys.world import World, running


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The shared system. Tests that kill processes use it too: it must survive that."""
    with running() as started:
        yield started
