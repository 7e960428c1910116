"""Credentials: the app's own, installation tokens, and what each is good for."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.github_server.visitor import Visitor, app_token, install
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": time.time() + 3600}, {"iat": time.time() + 3600}, {"iss": "99"}],
    ids=["over", "too far", "future", "stranger"],
)
def test_credential_of_the_app_is_checked(github: GitHub, claims: dict[str, Any]) -> None:
    caller = Visitor(github, app_token(github, **claims))

    answer = caller.call("GET", "/app")

    assert answer.status_code == 401


def test_foreign_key_is_refused(github: GitHub) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    forged = jwt.encode({"iat": now, "exp": now + 300, "iss": str(github.app.id)}, key, algorithm="RS256")

    answer = Visitor(github, forged).call("GET", "/app")

    assert answer.status_code == 401
    assert Visitor(github, app_token(github)).call("GET", "/app").json()["slug"] == "book-bot"


def test_token_does_what_it_is_for_and_nothing_else(github: GitHub) -> None:
    github.create_repository("books")
    reader = install(github, permissions={"contents": "read"})

    listed = reader.call("GET", "/repos/book-club/books/branches")
    refused = reader.call("PUT", "/repos/book-club/books/topics", {"names": ["x"]})

    assert listed.status_code == 200
    assert refused.status_code == 403
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "administration=write"
    assert refused.json()["message"] == "Resource not accessible by integration"


def test_token_sees_only_its_repositories(github: GitHub) -> None:
    books = github.create_repository("books")
    github.create_repository("films")
    limited = install(github, repository_ids=[books.id], permissions={"administration": "write"})

    statuses = [limited.call("GET", f"/repos/book-club/{name}").status_code for name in ("books", "films")]
    created = limited.call("POST", "/orgs/book-club/repos", {"name": "more"})

    assert statuses == [200, 404]
    assert created.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"permissions": {"members": "read"}},
        {"permissions": {"checks": "write"}},
        {"repositories": ["absent"]},
    ],
)
def test_token_beyond_the_installation_is_not_made(github: GitHub, body: dict[str, Any]) -> None:
    caller = Visitor(github, app_token(github))

    answer = caller.call("POST", f"/app/installations/{github.app.installation_id}/access_tokens", body)

    assert answer.status_code == 422


def test_expired_token_opens_neither_api_nor_git(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    visitor.start(tmp_path / "books", "books", {"README.md": "Books"})

    github.expire_tokens()

    assert visitor.call("GET", "/repos/book-club/books").status_code == 401
    fetched = visitor.git(tmp_path / "books", "fetch", "origin", check=False)
    assert fetched.returncode != 0
    assert install(github).call("GET", "/repos/book-club/books").status_code == 200


def test_uninstalled_app_has_no_installation(github: GitHub) -> None:
    github.app.is_installed = False
    caller = Visitor(github, app_token(github))

    answer = caller.call("GET", "/orgs/book-club/installation")

    assert answer.status_code == 404


def test_workflow_file_needs_its_own_permission(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    visitor.start(tmp_path / "books", "books", {"README.md": "Books"})
    limited = install(github, permissions={"contents": "write"})
    limited.commit(tmp_path / "books", {".github/workflows/ci.yml": "on: [push]"})

    pushed = limited.git(tmp_path / "books", "push", "origin", "HEAD:main", check=False)

    assert pushed.returncode != 0
    assert "without `workflows` permission" in pushed.stderr


def test_reader_cannot_push(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    visitor.start(tmp_path / "books", "books", {"README.md": "Books"})
    reader = install(github, permissions={"contents": "read"})

    pushed = reader.git(tmp_path / "books", "push", "origin", "HEAD:task", check=False)

    assert pushed.returncode != 0
    assert "403" in pushed.stderr
