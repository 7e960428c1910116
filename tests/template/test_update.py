"""A project of a previous template takes over this one and keeps what was built in it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import copier
import pytest
import yaml

from apps.projects import templating
from apps.projects.manifest import parse_manifest
from tests.template import foreign
from tests.template.projects import make
from worker_image.rehearsal import agent

pytestmark = pytest.mark.integration

#: The releases in the file, oldest first; a new release of the template is added by `git fast-export`.
PREVIOUS = ("1.0.0", "1.1.0")
RELEASES = foreign.DATA / "template-releases.export"
OURS = "# Written by a person\n\n"
ANSWERS = {"project_name": "Books", "project_slug": "books", "project_description": "an inventory of books"}


@pytest.fixture(scope="module")
def releases() -> Iterator[Path]:
    """The template as a git repository with a tag per version."""
    repository = Path(mkdtemp(dir="/tmp", prefix="releases-")) / "template"
    repository.mkdir()
    foreign.git(repository, "init", "-q", "-b", "main")
    with RELEASES.open("rb") as stream:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, stdin=stream, check=True)
    shutil.copytree(
        templating.TEMPLATE_DIRECTORY,
        repository,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".ruff_cache"),
    )
    yield foreign.commit(repository, {}, tag=templating.template_version())
    shutil.rmtree(repository.parent)


@dataclass(frozen=True)
class Updated:
    """A project after the update, and the files of its resource as they were before."""

    project: Path
    built: dict[Path, bytes]


@pytest.fixture(scope="module", params=PREVIOUS)
def updated(request: pytest.FixtureRequest, releases: Path) -> Iterator[Updated]:
    """A project of a previous version with a resource that an agent built, and files that people changed."""
    place = Path(mkdtemp(dir="/tmp", prefix="updated-"))
    project = place / "project"
    copier.run_copy(str(releases), project, data=ANSWERS, vcs_ref=request.param, defaults=True, quiet=True)
    # How a project is told where newer templates are; ours names no place.
    answers = project / ".copier-answers.yml"
    answers.write_text(re.sub("^_src_path: .*$", f"_src_path: {releases}", answers.read_text(), flags=re.M))
    foreign.git(project, "init", "-q", "-b", "main")
    foreign.git(project, "add", "--all")
    foreign.git(project, "commit", "-q", "-m", "Start")
    assert agent.run("an inventory of books with title, author and year", project) == 0
    (project / "README.md").write_text(OURS + (project / "README.md").read_text())
    (project / "NOTES.md").write_text(OURS)
    foreign.git(project, "add", "--all")
    foreign.git(project, "commit", "-q", "-m", "Notes of people")
    built = {path: path.read_bytes() for path in project.glob("app/resources/books/*.py")}
    copier.run_update(project, defaults=True, overwrite=True, quiet=True)
    yield Updated(project, built)
    shutil.rmtree(place)


def test_version_of_the_template_rose() -> None:
    def number(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    assert number(templating.template_version()) > number(PREVIOUS[-1])


def test_project_of_the_previous_version_is_updated(updated: Updated) -> None:
    project = updated.project

    kept = {path: path.read_bytes() for path in updated.built}

    assert updated.built
    assert kept == updated.built
    assert (
        yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"]
        == templating.template_version()
    )
    manifest = parse_manifest((project / "project.yaml").read_bytes())
    assert [service.run for service in manifest.services] == ["make run-backend"]
    assert (project / "README.md").read_text().startswith(OURS)
    assert (project / "NOTES.md").read_text() == OURS
    assert (project / ".github" / "workflows" / "main.yml").is_file()
    assert not list(project.rglob("*.rej"))
    assert foreign.git(project, "diff", "--name-only", "--diff-filter=U") == ""
    assert foreign.git(project, "grep", "--untracked", "-lE", "^(<<<<<<<|>>>>>>>)", "--", ".", ok=(1,)) == ""
    assert not (project / "requirements.txt").exists()


def test_updated_project_passes_its_tests(updated: Updated, environment: Path) -> None:
    project = updated.project
    (project / ".venv").symlink_to(environment)

    made = make(project, "setup")
    checked = make(project, "check")

    assert made.returncode == 0, made.stderr
    assert checked.returncode == 0, checked.stdout
    assert (project / "tests" / "test_books.py").is_file()
