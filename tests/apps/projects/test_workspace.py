"""The manifest of a commit is read from the forge: as a regular file, within its limit."""

from pathlib import Path

import pytest

from apps.projects import workspace
from apps.projects.forge.base import Repository, RepositorySpec
from apps.projects.forge.local import LocalForge
from apps.projects.manifest import ManifestInvalid, ManifestMissing
from apps.projects.tools import Tools
from tests.fakes_forge import GitSource

pytestmark = pytest.mark.unit

MANIFEST = b"""\
version: 1
modules: [backend]
commands: {setup: make setup, check: make check, tests: make tests-list}
services:
  - {name: backend, run: make run, port: web, health: /health, data: data}
protected: [project.yaml, Makefile, ".github/**"]
"""


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(forge=LocalForge(tmp_path / "forge"), scratch=tmp_path / "scratch")


def pushed(tools: Tools, place: Path, files: dict[str, bytes | tuple[str, bytes]]) -> tuple[Repository, str]:
    source = GitSource(place / "source.git")
    sha = source.commit_files(files)
    repository = tools.forge.ensure_repository(RepositorySpec(project_id="project-1", name="books"))
    tools.forge.push(repository, source=source.path, sha=sha, branch="main", expected=None)
    return repository, sha


def test_manifest_of_a_commit_is_read(tools: Tools, tmp_path: Path) -> None:
    repository, sha = pushed(tools, tmp_path, {"project.yaml": MANIFEST})

    found = workspace.read_manifest(repository, sha=sha, tools=tools)

    assert found.commands.check == "make check"
    assert (found.services[0].health, found.services[0].data) == ("/health", "data")
    assert found.protected == ("project.yaml", "Makefile", ".github/**")


@pytest.mark.parametrize(
    "files", [{"other": b""}, {"project.yaml": ("120000", b"other")}, {"project.yaml/a": b""}]
)
def test_commit_without_a_manifest_is_told(
    tools: Tools, tmp_path: Path, files: dict[str, bytes | tuple[str, bytes]]
) -> None:
    repository, sha = pushed(tools, tmp_path, files)

    with pytest.raises(ManifestMissing) as refused:
        workspace.read_manifest(repository, sha=sha, tools=tools)

    assert refused.value.details == {"field": "project.yaml"}


def test_oversized_manifest_is_invalid_and_not_read(tools: Tools, tmp_path: Path) -> None:
    repository, sha = pushed(tools, tmp_path, {"project.yaml": b"#" * 70_000})

    with pytest.raises(ManifestInvalid) as refused:
        workspace.read_manifest(repository, sha=sha, tools=tools)

    assert refused.value.details == {"field": "project.yaml", "size": 70_000}
