"""Ten sentences give ten services that are set up, checked and served by the project's own commands."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import httpx
import pytest

from tests.data.sentences import SENTENCES, Sentence
from tests.template.projects import create_project, make
from tests.template.service import running
from worker_image.rehearsal import agent

pytestmark = pytest.mark.integration

BOOKS = next(sentence for sentence in SENTENCES if sentence.name == "books")


@dataclass(frozen=True)
class Promises:
    """One project of all sentences, what its checks said, and its service."""

    checked: "subprocess.CompletedProcess[str]"
    client: httpx.Client


@pytest.fixture(scope="module")
def promises(environment: Path) -> Iterator[Promises]:
    """A project to which ten tasks gave a resource each; set-up, checks and start are the expensive part."""
    directory = Path(mkdtemp(dir="/tmp", prefix="template-"))
    project = create_project(directory / "project", SENTENCES[0].text)
    (project / ".venv").symlink_to(environment)
    for sentence in SENTENCES:
        agent.run(f"<task>\n{sentence.text}\n</task>\n", project)
    checked = make(project, "check")
    with running(project, directory / "data") as client:
        yield Promises(checked, client)
    rmtree(directory)


def test_ten_sentences_pass_the_checks_of_the_project(promises: Promises) -> None:
    assert promises.checked.returncode == 0, promises.checked.stdout
    assert " passed in " in promises.checked.stdout


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.name)
def test_service_keeps_what_its_sentence_promises(promises: Promises, sentence: Sentence) -> None:
    client = promises.client

    created = client.post(sentence.path, json=sentence.valid)
    refused = client.post(sentence.path, json=sentence.invalid)
    repeated = [client.post(sentence.path, json=sentence.valid).status_code for _ in sentence.unique]
    listed = client.get(sentence.path).json()

    assert created.status_code == 201
    assert created.json() == sentence.valid | {"id": created.json()["id"]}
    assert refused.status_code == 422
    assert repeated == [409] * len(sentence.unique)
    assert listed == [created.json()]


def test_project_sets_itself_up_from_nothing(tmp_path: Path) -> None:
    sentence = next(sentence for sentence in SENTENCES if sentence.name == "films")
    project = create_project(tmp_path / "project", sentence.text)
    agent.run(sentence.text, project)

    made = make(project, "setup")
    again = make(project, "setup")
    checked = make(project, "check")
    listed = make(project, "tests-list")

    assert (made.returncode, again.returncode) == (0, 0), made.stderr + again.stderr
    assert checked.returncode == 0, checked.stdout
    ids = listed.stdout.splitlines()
    assert "tests/test_films.py::test_deleted_film_is_gone" in ids
    assert all(line.startswith("tests/") and "::" in line for line in ids)
    assert f"{len(ids)} passed" in checked.stdout
    assert (project / ".reports" / "junit.xml").is_file()
    assert _status(project) == ""


def test_rows_survive_a_restart_and_a_change_of_the_model(
    built: Callable[[str], Path], tmp_path: Path
) -> None:
    project = built(BOOKS.text)
    with running(project, tmp_path / "data") as client:
        first = client.post("/books", json=BOOKS.valid).json()
    agent.run("add a publisher field", project)
    agent.run("add a unique isbn field", project)
    agent.run("remove the year field", project)

    with running(project, tmp_path / "data") as client:
        kept = client.get("/books").json()
        second = client.post("/books", json={"title": "B", "author": "C", "publisher": "D", "isbn": "1"})
        without = client.post("/books", json={"title": "E", "author": "F"})
        duplicate = client.post("/books", json={"title": "G", "author": "H", "isbn": "1"})

    unchanged = {"id": first["id"], "title": first["title"], "author": first["author"]}
    assert kept == [unchanged | {"publisher": None, "isbn": None}]
    assert (second.status_code, without.status_code, duplicate.status_code) == (201, 201, 409)
    with sqlite3.connect(tmp_path / "data" / "app.sqlite3") as database:
        assert database.execute("SELECT year FROM books WHERE id = 1").fetchall() == [(BOOKS.valid["year"],)]
    database.close()
    assert make(project, "check").returncode == 0


def test_old_release_keeps_serving_while_the_new_one_starts(
    built: Callable[[str], Path], tmp_path: Path
) -> None:
    old = built(BOOKS.text)
    new = tmp_path / "new"
    subprocess.run(["git", "clone", "-q", str(old), str(new)], check=True)
    (new / ".venv").symlink_to((old / ".venv").resolve())
    agent.run("add a publisher field", new)
    agent.run("remove the year field", new)

    with running(old, tmp_path / "data") as before, running(new, tmp_path / "data") as after:
        by_old = before.post("/books", json=BOOKS.valid)
        by_new = after.post("/books", json={"title": "B", "author": "C", "publisher": "D"})
        seen = after.get("/books").json()

    assert (by_old.status_code, by_new.status_code) == (201, 201)
    assert [book["publisher"] for book in seen] == [None, "D"]


def _status(project: Path) -> str:
    status = ["git", "status", "--porcelain"]
    return subprocess.run(status, cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"title": "\\ud800", "author": "x", "year": 1}', 422),
        (b'{"title": "x", "author": "x", "year": NaN}', 422),
        (b'{"title": "x", "author": "x", "year": 1e400}', 422),
        (b'{"title": "x", "author": "x", "year": 99999999999999999999999}', 422),
        (b'{"title": "", "author": "x", "year": 1}', 422),
        (b'{"title": "x", "author": "x", "year": true}', 422),
        (b'{"title": "x", "author": "x", "year": 1, "id": 7}', 422),
        (b"[" * 100_000, 400),
    ],
    ids=range(10),
)
def test_hostile_body_is_refused(served: httpx.Client, body: bytes, status: int) -> None:
    response = served.post("/books", content=body, headers={"content-type": "application/json"})

    assert response.status_code == status
    assert served.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/books/0", 422),
        ("/books/99999999999999999999999", 422),
        ("/books/1.5", 422),
        ("/books/999", 404),
        ("/books?limit=0", 422),
        ("/books?limit=100000", 422),
        ("/books?offset=99999999999999999999999", 422),
    ],
)
def test_hostile_address_is_refused(served: httpx.Client, path: str, status: int) -> None:
    assert served.get(path).status_code == status


def test_address_itself_leads_to_the_documentation(served: httpx.Client) -> None:
    answer = served.get("/")
    opened = served.get("/", follow_redirects=True)

    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
    assert (opened.status_code, opened.url.path) == (200, "/docs")
    assert "/" not in served.get("/openapi.json").json()["paths"]


def test_resource_may_take_the_address_itself(built: Callable[[str], Path], tmp_path: Path) -> None:
    project = built(BOOKS.text)
    resource = project / "app" / "resources" / "pages"
    resource.mkdir()
    (resource / "__init__.py").touch()
    (resource / "router.py").write_text(
        "from fastapi import APIRouter\n\nrouter = APIRouter()\n\n\n"
        '@router.get("/")\ndef read_page() -> str:\n    return "ours"\n'
    )

    with running(project, tmp_path / "data") as client:
        answer = client.get("/")

    assert (answer.status_code, answer.json()) == (200, "ours")
