"""A GitHub for the tests of the double itself, and somebody who calls it."""

from collections.abc import Iterator

import pytest

from tests.github_server.server import github_server
from tests.github_server.visitor import Visitor, install
from tests.github_server.world import GitHub


@pytest.fixture
def github() -> Iterator[GitHub]:
    with github_server() as github:
        yield github


@pytest.fixture
def visitor(github: GitHub) -> Visitor:
    """The app, with everything it was granted."""
    return install(github)
