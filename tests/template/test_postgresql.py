"""A generated backend does the same on PostgreSQL as on SQLite, and keeps its rows there, too."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.data.sentences import SENTENCES
from tests.template.projects import make
from tests.template.service import running
from worker_image.rehearsal import agent

pytestmark = pytest.mark.integration

BOOKS = next(sentence for sentence in SENTENCES if sentence.name == "books")


@pytest.fixture
def database_url() -> Iterator[str]:
    """An empty database on the server that the tests of the control plane use."""
    server = os.environ["DATABASE_URL"]
    name = f"template_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # ours, of hexadecimal digits
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_tests_of_a_project_pass_on_postgresql(built: Callable[[str], Path], database_url: str) -> None:
    project = built(BOOKS.text)
    agent.run("an address book with name, email and phone, the email is unique", project)

    checked = make(project, "check", TEST_DATABASE_URL=database_url)

    assert checked.returncode == 0, checked.stdout
    with psycopg.connect(database_url) as connection:
        tables = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables")}
    assert "applied_migrations" in tables


def test_rows_survive_a_change_of_the_model_on_postgresql(
    built: Callable[[str], Path], tmp_path: Path, database_url: str
) -> None:
    project = built(BOOKS.text)
    with running(project, tmp_path, DATABASE_URL=database_url) as client:
        first = client.post("/books", json=BOOKS.valid).json()
    agent.run("add a publisher field", project)
    agent.run("add a unique isbn field", project)
    agent.run("remove the year field", project)

    with running(project, tmp_path, DATABASE_URL=database_url) as client:
        kept = client.get("/books").json()
        second = client.post("/books", json={"title": "B", "author": "C", "isbn": "1"})
        duplicate = client.post("/books", json={"title": "D", "author": "E", "isbn": "1"})
        nul = client.post("/books", json={"title": "nul \x00", "author": "E"})

    unchanged = {"id": first["id"], "title": first["title"], "author": first["author"]}
    assert kept == [unchanged | {"publisher": None, "isbn": None}]
    assert (second.status_code, duplicate.status_code, nul.status_code) == (201, 409, 422)
    assert "isbn" in duplicate.json()["detail"]
    assert not (tmp_path / "app.sqlite3").exists()
