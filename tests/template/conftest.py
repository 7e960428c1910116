"""Generated projects: one environment for all of them, made once by the project's own `make setup`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import httpx
import pytest

from tests.template.projects import create_project, make
from tests.template.service import running
from worker_image.rehearsal import agent


@pytest.fixture(scope="session")
def environment() -> Iterator[Path]:
    """The virtual environment of a generated project."""
    directory = Path(mkdtemp(dir="/tmp", prefix="template-"))
    project = create_project(directory / "project", "")
    made = make(project, "setup")
    assert made.returncode == 0, made.stderr
    yield project / ".venv"
    rmtree(directory)


@pytest.fixture
def built(environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Path]:
    """Return a function that makes a project out of a sentence, ready to be checked and run."""

    def build(text: str) -> Path:
        project = create_project(tmp_path / "project", text)
        (project / ".venv").symlink_to(environment)
        agent.run(f"<task>\n{text}\n</task>\n", project)
        assert '"status": "success"' in capsys.readouterr().out
        return project

    return build


@pytest.fixture(scope="module")
def served(environment: Path) -> Iterator[httpx.Client]:
    """A client of a running service of books."""
    directory = Path(mkdtemp(dir="/tmp", prefix="template-"))
    text = "an inventory of books with title, author and year"
    project = create_project(directory / "project", text)
    (project / ".venv").symlink_to(environment)
    agent.run(text, project)
    with running(project, directory / "data") as client:
        yield client
    rmtree(directory)
