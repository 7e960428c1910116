"""The git hosts that the conformance suites of hosting run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.projects.forge import base
from tests.conformance.git_hosts import HOSTINGS
from tests.conformance.hosting_hosts import open_stage
from tests.conformance.hosting_stages import FILES, SPEC, Stage
from tests.fakes_forge import GitSource


@pytest.fixture(params=HOSTINGS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with open_stage(request.param, tmp_path) as stage:
        yield stage


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "source.git")


@pytest.fixture
def repository(stage: Stage, source: GitSource) -> base.Repository:
    """A repository with workflows on its main branch."""
    repository = stage.host.ensure_repository(SPEC)
    first = source.commit_files(FILES)
    stage.host.push(repository, source=source.path, sha=first, branch="main", expected=None)
    return repository
