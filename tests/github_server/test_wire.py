"""What every answer has in common: pages, ETags, limits, and the switches of the stage."""

import base64
import io
import time
import zipfile
from pathlib import Path

import pytest
from nacl.public import PublicKey, SealedBox

from tests.github_server.visitor import Visitor, install
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service
BOOKS = "/repos/book-club/books"


def test_pages_lead_through_the_whole_list(github: GitHub, visitor: Visitor) -> None:
    for number in range(5):
        github.create_repository(f"books-{number}")
    path, names = "/orgs/book-club/repos?per_page=2", []

    while path:
        answer = visitor.call("GET", path)
        names += [item["name"] for item in answer.json()]
        path = answer.links.get("next", {}).get("url", "")

    assert names == [f"books-{number}" for number in range(5)]


def test_unchanged_answer_costs_nothing(github: GitHub, visitor: Visitor) -> None:
    github.create_repository("books")
    first = visitor.call("GET", BOOKS)
    used = github.stage.used

    second = visitor.call("GET", BOOKS, headers={"If-None-Match": first.headers["ETag"]})

    assert (second.status_code, second.content) == (304, b"")
    assert github.stage.used == used
    visitor.call("PATCH", BOOKS, {"description": "More"})
    assert visitor.call("GET", BOOKS, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_limits_are_told_as_the_host_tells_them(github: GitHub, visitor: Visitor) -> None:
    github.create_repository("books")
    github.stage.limit_after(1, seconds=2, times=1)

    answers = [visitor.call("GET", BOOKS) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 403, 200]
    assert answers[1].headers["X-RateLimit-Remaining"] == "0"
    assert int(answers[1].headers["X-RateLimit-Reset"]) >= time.time()
    github.stage.limit_after(0, secondary=True, seconds=7)
    assert visitor.call("GET", BOOKS).headers["Retry-After"] == "7"


def test_stage_breaks_and_counts_what_it_is_told_to(github: GitHub, visitor: Visitor) -> None:
    github.create_repository("books")
    github.stage.fail(2, status=503, calls="GET /repos/{owner}/{repo}$".replace("{", r"\{"))

    with github.stage.counting() as counted:
        statuses = [visitor.call("GET", BOOKS).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert counted == {"GET /repos/{owner}/{repo}": 3}


def test_unknown_endpoint_is_a_complaint(github: GitHub, visitor: Visitor) -> None:
    answer = visitor.call("GET", "/repos/book-club/books/unheard-of")

    assert answer.status_code == 404
    assert github.complaints == ["There is no endpoint GET /repos/book-club/books/unheard-of in this double"]
    github.complaints.clear()


def test_secret_is_opened_for_the_runner_alone(github: GitHub, visitor: Visitor) -> None:
    github.create_repository("books")
    key = visitor.call("GET", f"{BOOKS}/actions/secrets/public-key").json()
    box = SealedBox(PublicKey(base64.b64decode(key["key"])))

    def put(name: str, value: bytes, key_id: str) -> int:
        sealed = base64.b64encode(box.encrypt(value)).decode()
        body = {"encrypted_value": sealed, "key_id": key_id}
        return visitor.call("PUT", f"{BOOKS}/actions/secrets/{name}", body).status_code

    statuses = [put("KEY", b"value", key["key_id"]), put("KEY", b"newer", key["key_id"])]

    read = visitor.call("GET", f"{BOOKS}/actions/secrets/KEY").json()
    assert statuses == [201, 204]
    assert github.secrets_of("books") == {"KEY": "newer"}
    assert read.keys() == {"name", "created_at", "updated_at"}
    assert put("KEY", b"x", "0") == 422
    assert put("GITHUB_KEY", b"x", key["key_id"]) == 422
    assert put("LARGE", b"x" * 49_153, key["key_id"]) == 422


def test_hundred_secrets_are_the_limit(github: GitHub, visitor: Visitor) -> None:
    repository = github.create_repository("books")
    repository.secrets |= {f"KEY_{number}": "x" for number in range(100)}
    key = visitor.call("GET", f"{BOOKS}/actions/secrets/public-key").json()
    sealed = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(b"x")
    body = {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key["key_id"]}

    answer = visitor.call("PUT", f"{BOOKS}/actions/secrets/ONE_MORE", body)

    assert answer.status_code == 422


def test_log_is_behind_an_address_that_wants_no_credential(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    text = "on: [push]\njobs: {check: {runs-on: x, steps: [{name: Say, run: 'echo said; exit 1'}]}}"
    visitor.start(tmp_path / "books", "books", {".github/workflows/ci.yml": text})
    repository = github.find("book-club", "books")
    assert repository is not None
    run = repository.runs[0]
    github.runner.wait(run)
    github.stage.log_padding_bytes = 1_000_000

    archive = visitor.call("GET", f"{BOOKS}/actions/runs/{run.id}/logs")

    zipped = zipfile.ZipFile(io.BytesIO(archive.content))
    assert archive.history[0].status_code == 302
    assert {"0_check.txt", "check/2_Say.txt"} <= set(zipped.namelist())
    assert len(zipped.read("0_check.txt")) > 1_000_000
    assert zipped.read("check/2_Say.txt").decode().rstrip().endswith("exit code 1.")
    location = archive.history[0].headers["Location"]
    assert visitor.call("GET", location).status_code == 400


def test_pull_request_follows_pushes_and_indirect_merges(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    folder = tmp_path / "books"
    visitor.start(folder, "books", {"README.md": "Books"})
    visitor.commit(folder, {"one": ""}, push="task")
    body = {"title": "Task", "head": "task", "base": "main"}
    number = visitor.call("POST", f"{BOOKS}/pulls", body).json()["number"]
    later = visitor.commit(folder, {"two": ""}, push="task")
    assert visitor.call("GET", f"{BOOKS}/pulls/{number}").json()["head"]["sha"] == later
    assert visitor.call("POST", f"{BOOKS}/pulls", body).status_code == 422

    visitor.git(folder, "push", "--quiet", "origin", "HEAD:main")

    read = visitor.call("GET", f"{BOOKS}/pulls/{number}").json()
    assert (read["state"], read["merged"], read["merge_commit_sha"]) == ("closed", True, later)
    assert visitor.call("PATCH", f"{BOOKS}/pulls/{number}", {"state": "open"}).status_code == 422


def test_name_is_taken_once(github: GitHub) -> None:
    caller = install(github)

    first, second = (
        caller.call("POST", "/orgs/book-club/repos", {"name": name}) for name in ("Books", "books")
    )

    assert (first.status_code, second.status_code) == (201, 422)
    assert second.json()["errors"][0]["message"] == "name already exists on this account"


def test_renamed_repository_is_found_by_its_former_name_until_somebody_takes_it(
    github: GitHub, visitor: Visitor, tmp_path: Path
) -> None:
    visitor.start(tmp_path / "books", "books", {"README.md": "Books"})
    visitor.call("PATCH", BOOKS, {"name": "library"}).raise_for_status()

    moved = visitor.call("GET", f"{BOOKS}/branches")
    fetched = visitor.git(tmp_path / "books", "fetch", "origin", check=False)

    assert (moved.history[0].status_code, moved.status_code) == (301, 200)
    assert fetched.returncode == 0
    github.create_repository("books")
    assert visitor.call("GET", f"{BOOKS}/branches").json() == []
