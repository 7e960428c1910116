"""A template of another make carries the whole job: scaffold, change, its own checks, merge, address."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.data.sentences import SENTENCES
from tests.journeys.world import World, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DATA = Path(__file__).parent.parent / "data"
REF = "0.3.5"


def _git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def foreign_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A system whose settings name another template, in a git repository, by a tag."""
    repository = tmp_path_factory.mktemp("templates") / "theirs"
    shutil.copytree(DATA / "foreign_template", repository)
    _git(repository, "init", "-q", "-b", "main")
    _git(repository, "add", "--all")
    _git(repository, "commit", "-q", "-m", "Release")
    _git(repository, "tag", REF)
    (repository / "template" / "Makefile.jinja").write_text("what came after the release is not used\n")
    _git(repository, "commit", "-q", "-a", "-m", "Break it")
    settings = {
        "SCAFFOLD_TEMPLATE": str(repository),
        "SCAFFOLD_TEMPLATE_REF": REF,
        "SCAFFOLD_TEMPLATE_MAP": str(DATA / "foreign_mapping.yaml"),
    }
    with running(settings=settings) as world:
        yield world


@pytest.fixture(scope="module")
def done(foreign_world: World) -> dict[str, Any]:
    """A sentence, done: its task and its card."""
    task = foreign_world.begin(SENTENCES[0].text, name="Книги: a shelf")
    return {"task": task, "card": foreign_world.wait(task["id"], seconds=180)}


def test_sentence_becomes_a_service_of_the_foreign_template(done: dict[str, Any]) -> None:
    assert done["card"]["status"] == "completed", done["card"]["failure"]

    answer = httpx.get(f"{done['card']['url']}health").json()

    assert answer["status"] == "ok"
    assert answer["name"].replace("_", "").isalnum()


def test_its_own_checks_passed_before_the_merge(foreign_world: World, done: dict[str, Any]) -> None:
    query = "SELECT status, commands, evidence FROM workers_verification WHERE task_id = %s"

    ((status, commands, evidence),) = foreign_world.rows(query, done["task"]["id"])

    assert status == "succeeded"
    assert commands["check"] == "make lint tests"
    assert evidence["passed"] == 2
    assert len(foreign_world.merges(done["task"]["project_id"])) == 1


def test_manifest_of_the_project_is_the_mapped_one(foreign_world: World, done: dict[str, Any]) -> None:
    query = "SELECT template_version, manifest FROM projects_project WHERE id = %s"

    ((version, manifest),) = foreign_world.rows(query, done["task"]["project_id"])

    assert version == REF
    assert manifest["modules"] == ["backend"]
    assert [service["run"] for service in manifest["services"]] == ["make run-backend"]
