"""Repositories on GitHub: made once, ours by id and mark, protected, deleted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.github.app import Scope, TokenRepositoryAbsent
from apps.projects.forge.github.repositories import marked_description
from tests.apps.projects.forge.github.conftest import SPEC
from tests.apps.projects.forge.github.scripted import REPOSITORY, forge_of, said

pytestmark = pytest.mark.service

POST = "POST /orgs/{org}/repos"


def test_repository_is_private_and_marked_by_the_call_that_makes_it(github, forge):
    with github.stage.counting() as calls:
        made = forge.ensure_repository(SPEC)

    held = github.find(github.org, "book-list")
    assert (held.private, held.description) == (True, "Books [codegen:project-1]")
    assert (made.id, made.url) == (str(held.id), f"{github.base_url}/{github.org}/book-list")
    assert calls[POST] == 1
    assert calls.total() == 3


def test_scaffold_takes_at_most_ten_calls_and_its_repetition_few(github, connect, source, tmp_path):
    ci = b"on: push\njobs: {}\n"
    first = source.commit_files({"README.md": b"Books\n", ".github/workflows/ci.yml": ci})

    def scaffold(spec: base.RepositorySpec) -> base.Repository:
        forge = connect()
        repository = forge.ensure_repository(spec)
        if forge.head(repository, "main") is None:
            forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
        forge.protect_branch(repository, branch="main", checks=("check",))
        assert forge.head(repository, "main") == first
        assert forge.read_file(repository, sha=first, path="README.md", limit=99) == b"Books\n"
        forge.export_bundle(repository, branch="main", destination=tmp_path / "main.bundle")
        return repository

    with github.stage.counting() as calls:
        made = scaffold(SPEC)
    with github.stage.counting() as again:
        scaffold(replace(SPEC, repository_id=made.id))

    assert calls.total() <= 10
    assert again.total() <= 5


def test_repository_of_a_crashed_try_is_adopted_by_its_mark(github, forge):
    left = github.create_repository("book-list", description="Books [codegen:project-1]")

    assert forge.ensure_repository(SPEC).id == str(left.id)


@pytest.mark.parametrize(
    "description", ["", "Books", "[codegen:project-2]", "[codegen:project-1] and more", "codegen:project-1"]
)
def test_repository_without_our_mark_is_a_strangers(description, github, forge):
    github.create_repository("book-list", description=description)

    with pytest.raises(base.RepositoryTaken) as refused:
        forge.ensure_repository(SPEC)

    assert "rename or delete it" in refused.value.message


def test_description_may_be_rewritten_once_the_id_is_known(github, forge, repository):
    github.find(github.org, "book-list").description = "A list of books, by us"

    assert forge.ensure_repository(replace(SPEC, repository_id=repository.id)) == repository


def test_repository_that_people_renamed_is_still_ours(github, forge, repository):
    github.find(github.org, "book-list").name = "renamed"

    with pytest.raises(base.RepositoryNotFound):
        forge.list_secrets(repository)
    assert forge.list_secrets(replace(repository, name="renamed")) == frozenset()


def test_name_that_a_stranger_took_is_seen_by_every_half(github, forge, repository):
    github.delete_repository(github.find(github.org, "book-list"))
    github.create_repository("book-list")

    for ask in (
        lambda: forge.head(repository, "main"),
        lambda: forge.list_secrets(repository),
        lambda: forge.read_pull_request(repository, 1),
        lambda: forge.protect_branch(repository, branch="main", checks=()),
    ):
        with pytest.raises(base.RepositoryTaken):
            ask()


def test_repository_that_is_gone_is_seen_by_every_half(github, forge, repository):
    forge.list_secrets(repository)
    github.delete_repository(github.find(github.org, "book-list"))

    for ask in (
        lambda: forge.head(repository, "main"),
        lambda: forge.list_secrets(repository),
        lambda: forge.find_run(repository, workflow="main.yml", correlation="x"),
        lambda: forge.mirror(repository),
    ):
        with pytest.raises(base.RepositoryNotFound):
            ask()


def test_deleting_takes_ours_and_never_a_strangers(github, forge, repository):
    forge.delete_repository(repository)
    stranger = github.create_repository("book-list")

    forge.delete_repository(repository)
    forge.delete_repository(replace(repository, id="no number"))

    assert github.find(github.org, "book-list") is stranger


def test_protection_wants_a_branch(forge, repository):
    with pytest.raises(base.BranchNotFound):
        forge.protect_branch(repository, branch="main", checks=("check",))


def test_branch_that_the_api_has_not_noticed_yet_is_waited_for(github, forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    github.stage.fail(1, status=404, calls="PUT .*protection")

    with pytest.raises(base.ForgeUnavailable):
        forge.protect_branch(repository, branch="main", checks=("check",))

    forge.protect_branch(repository, branch="main", checks=("check",))


@pytest.mark.parametrize(
    ("age", "kind"),
    [
        (timedelta(), base.ForgeUnavailable),
        (timedelta(days=400), hosting.ForgeForbidden),
        (None, hosting.ForgeForbidden),
    ],
)
def test_repository_out_of_reach_is_waited_for_only_while_it_is_new(age, kind):
    created_at = None if age is None else (datetime.now(UTC) - age).isoformat()

    class NoToken:
        def get(self, scope: Scope) -> str:
            if scope.repository_id is not None:
                raise TokenRepositoryAbsent
            return "token"

        def forget(self, scope: Scope, token: str) -> None:
            """Nothing is kept."""

    forge, _ = forge_of({"GET ": said(200, {"id": 77, "created_at": created_at})}, tokens=NoToken())

    with pytest.raises(kind):
        forge.list_secrets(REPOSITORY)
    with pytest.raises(kind):
        forge.head(REPOSITORY, "main")


def test_protection_is_read_back():
    path = "/branches/main/protection"
    loose = {"required_status_checks": {"strict": False, "contexts": ["check"]}}
    forge, _ = forge_of({f"PUT {path}": said(), f"GET {path}": said(200, loose)})

    with pytest.raises(hosting.ForgeRefused):
        forge.protect_branch(REPOSITORY, branch="main", checks=("check",))


def test_plan_without_protection_says_so():
    words = {"message": "Upgrade to GitHub Pro or make this repository public to enable this feature."}
    forge, _ = forge_of({"PUT /branches/main/protection": said(403, words)})

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.protect_branch(REPOSITORY, branch="main", checks=("check",))

    assert "plan" in refused.value.message


@pytest.mark.parametrize(
    ("description", "marked"),
    [
        ("", "[codegen:project-1]"),
        ("Two\nlines\tand \x00more ", "Two lines and more [codegen:project-1]"),
        ("x" * 1_000, "x" * 330 + " [codegen:project-1]"),
    ],
)
def test_description_is_one_printable_bounded_line(description, marked):
    made = marked_description(replace(SPEC, description=description))

    assert made == marked
    assert len(made) <= 350


@pytest.mark.parametrize("data", [{}, {"id": "x"}, {"id": 1, "name": "n"}, []])
def test_answer_of_another_form_is_unavailable(data: Any):
    forge, _ = forge_of({"POST /orgs/book-club/repos": said(201, data)})

    with pytest.raises(base.ForgeUnavailable):
        forge.ensure_repository(SPEC)
