"""One building site for all milestone tests of a session."""

from collections.abc import Iterator

import pytest

from tests.milestone.site import Site, site


@pytest.fixture(scope="session")
def building() -> Iterator[Site]:
    """A system with containers; its first workers wait until their images are built."""
    with site() as started:
        yield started
