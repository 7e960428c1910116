"""The git hosts that the conformance suites of hosting run on."""

from pathlib import Path

import pytest

from apps.projects.forge import base
from tests.conformance.hosting_stages import FILES, SPEC, FakeStage, Stage
from tests.fakes_forge import GitSource


@pytest.fixture
def stage() -> Stage:
    return FakeStage()


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
