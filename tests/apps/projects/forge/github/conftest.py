"""GitHub's double and the adapter on it; Redis is the real one of the tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from apps.projects.forge import base, hosting
from apps.projects.forge.github.adapter import GitHubForge, make_forge
from apps.projects.forge.github.config import GitHubConfig
from tests.fakes_forge import GitSource
from tests.github_server.server import github_server
from tests.github_server.world import GitHub

SPEC = base.RepositorySpec(project_id="project-1", name="book-list", description="Books")
PULL = hosting.PullRequestSpec(branch="task/1", into="main", title="Add books", body="Asked for.")


@pytest.fixture(scope="module")
def running() -> Iterator[GitHub]:
    """One double for the tests of a module: it is the slow part."""
    with github_server() as double:
        yield double


@pytest.fixture
def github(running: GitHub) -> Iterator[GitHub]:
    """A double that holds nothing and behaves well."""
    stage, granted = running.stage, dict(running.app.granted)
    yield running
    running.stage = type(stage)()
    running.app.granted, running.app.is_installed = granted, True
    running.expire_tokens()
    for repository in list(running.repositories):
        running.delete_repository(repository)


@pytest.fixture
def shared(broker: "redis.Redis") -> "redis.Redis":
    """What processes share, empty; its values are bytes."""
    return redis.Redis.from_url(settings.REDIS_URL)


@pytest.fixture
def connect(github: GitHub, shared: Any, tmp_path: Path) -> Callable[..., GitHubForge]:
    """Make the adapter, as another process would."""

    def make(**changes: Any) -> GitHubForge:
        config = {
            "organisation": github.org,
            "app_id": str(github.app.id),
            "private_key": github.app.private_pem,
            "api_url": github.url,
            **changes,
        }
        return make_forge(GitHubConfig(**config), redis_url=settings.REDIS_URL, mirrors=tmp_path / "mirrors")

    return make


@pytest.fixture
def forge(connect: Callable[..., GitHubForge]) -> GitHubForge:
    return connect()


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "source.git")


@pytest.fixture
def repository(forge: GitHubForge) -> base.Repository:
    return forge.ensure_repository(SPEC)
