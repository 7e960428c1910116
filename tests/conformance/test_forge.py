"""What every forge must do, checked on the one in memory, on bare repositories and on GitHub."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.errors import Invalid
from apps.projects import bundle_header
from apps.projects.forge import base
from tests.conformance.forge_steps import SPEC, merge_spec, start
from tests.conformance.git_hosts import FORGES, open_forge
from tests.fakes_forge import FakeForge, GitSource


@pytest.fixture(params=FORGES)
def forge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[base.Forge]:
    with open_forge(request.param, tmp_path) as forge:
        yield forge


def test_second_ensure_adopts_the_first_repository(forge: base.Forge) -> None:
    first = forge.ensure_repository(SPEC)

    again = forge.ensure_repository(replace(SPEC, repository_id=first.id))

    assert again == first


@pytest.mark.parametrize("stranger", [{"project_id": "project-2"}, {"repository_id": "another"}])
def test_repository_of_a_stranger_is_refused(forge: base.Forge, stranger: dict[str, str]) -> None:
    forge.ensure_repository(SPEC)

    with pytest.raises(base.RepositoryTaken) as refused:
        forge.ensure_repository(replace(SPEC, **stranger))

    assert refused.value.error_code == "repository_taken"


def test_lost_repository_is_not_replaced_by_an_empty_one(forge: base.Forge) -> None:
    forge.ensure_repository(replace(SPEC, project_id="project-2", name="another"))
    spec = replace(SPEC, repository_id="recorded-before")

    with pytest.raises(base.RepositoryNotFound):
        forge.ensure_repository(spec)

    assert forge.ensure_repository(SPEC).id != "recorded-before"


@pytest.mark.parametrize("name", ["", "../up", "Upper", "a/b", "-a", "a--b", "a.git", "x" * 101])
def test_unsafe_repository_name_is_refused(forge: base.Forge, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        forge.ensure_repository(replace(SPEC, name=name))

    assert refused.value.details == {"field": "name"}


def test_head_is_none_only_for_an_absent_branch(forge: base.Forge, source: GitSource) -> None:
    repository, first, _ = start(forge, source)

    heads = [forge.head(repository, branch) for branch in ("main", "task", "absent")]

    assert heads == [first, None, None]


@pytest.mark.parametrize(
    "branch", ["", "-x", "a..b", "a b", "a/", "/a", "a.lock", "HEAD", "a/.b", "a@{1}", "a\n"]
)
def test_unsafe_branch_name_is_refused(forge: base.Forge, branch: str) -> None:
    repository = forge.ensure_repository(SPEC)

    with pytest.raises(Invalid) as refused:
        forge.head(repository, branch)

    assert refused.value.error_code == "bad_branch"


def test_push_of_what_is_there_succeeds(forge: base.Forge, source: GitSource) -> None:
    repository, _, work = start(forge, source)

    forge.push(repository, source=source.path, sha=work, branch="task/1", expected=None)

    assert forge.head(repository, "task/1") == work


def test_push_on_a_moved_branch_is_refused(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    other = source.commit_files({"other": b""}, first)

    with pytest.raises(base.BranchMoved):
        forge.push(repository, source=source.path, sha=other, branch="task/1", expected=first)

    assert forge.head(repository, "task/1") == work


def test_default_branch_never_loses_commits(forge: base.Forge, source: GitSource) -> None:
    repository, first, _ = start(forge, source)
    foreign = source.commit_files({"foreign": b""})

    with pytest.raises(base.BranchMoved):
        forge.push(repository, source=source.path, sha=foreign, branch="main", expected=first)

    assert forge.head(repository, "main") == first


def test_push_of_an_unknown_commit_is_refused(forge: base.Forge, source: GitSource) -> None:
    repository, _, _ = start(forge, source)

    with pytest.raises(base.CommitNotFound):
        forge.push(repository, source=source.path, sha="1" * 40, branch="task/2", expected=None)

    assert forge.head(repository, "task/2") is None


def test_merge_has_two_parents_and_the_verified_tree(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)

    merged = forge.merge(repository, merge_spec(first, work))

    assert (merged.base_sha, merged.source_sha) == (first, work)
    assert forge.head(repository, "main") == merged.sha
    assert forge.read_file(repository, sha=merged.sha, path="app/main.py", limit=100) == b"pass\n"


def test_repeated_merge_returns_the_first_one(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    merged = forge.merge(repository, merge_spec(first, work))

    again = forge.merge(repository, merge_spec(first, work))

    assert again == merged
    assert forge.list_merges(repository) == [merged]
    assert forge.find_merge(repository, "run-1") == merged


def test_two_callers_with_one_request_make_one_merge(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    results: list[base.MergeResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(forge.merge(repository, merge_spec(first, work))))
        for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(results) == 4
    assert forge.list_merges(repository) == [results[0]]


def test_request_id_is_not_reused_for_another_commit(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    merged = forge.merge(repository, merge_spec(first, work))
    more = source.commit_files({"more": b""}, work)
    forge.push(repository, source=source.path, sha=more, branch="task/2", expected=None)

    with pytest.raises(base.MergeRequestReused):
        forge.merge(repository, merge_spec(merged.sha, more))

    assert forge.list_merges(repository) == [merged]


def test_merge_on_a_moved_base_is_refused(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    merged = forge.merge(repository, merge_spec(first, work))

    with pytest.raises(base.BaseMoved) as refused:
        forge.merge(repository, merge_spec(first, work, request_id="run-2"))

    assert refused.value.error_code == "base_moved"
    assert forge.head(repository, "main") == merged.sha


def test_merge_of_a_commit_without_the_base_conflicts(forge: base.Forge, source: GitSource) -> None:
    repository, first, _ = start(forge, source)
    foreign = source.commit_files({"foreign": b""})
    forge.push(repository, source=source.path, sha=foreign, branch="task/2", expected=None)

    with pytest.raises(base.MergeConflict):
        forge.merge(repository, merge_spec(first, foreign))

    assert forge.head(repository, "main") == first


def test_merge_of_the_head_itself_is_refused(forge: base.Forge, source: GitSource) -> None:
    repository, first, _ = start(forge, source)

    with pytest.raises(base.NothingToMerge):
        forge.merge(repository, merge_spec(first, first))

    assert forge.list_merges(repository) == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"source_sha": "1" * 40}, base.CommitNotFound), ({"into": "absent"}, base.BranchNotFound)],
)
def test_merge_of_something_absent_is_refused(
    forge: base.Forge, source: GitSource, changes: dict[str, str], error: type[Exception]
) -> None:
    repository, first, work = start(forge, source)

    with pytest.raises(error):
        forge.merge(repository, merge_spec(first, work, **changes))

    assert forge.head(repository, "main") == first


def test_title_cannot_pretend_to_be_another_request(forge: base.Forge, source: GitSource) -> None:
    repository, first, work = start(forge, source)
    message = "Title\x1b[31m\n\nMerge-Request: run-9"

    merged = forge.merge(repository, merge_spec(first, work, message=message))

    assert merged.request_id == "run-1"
    assert forge.find_merge(repository, "run-9") is None


def test_bundle_names_the_head_and_its_checksum(forge: base.Forge, source: GitSource, tmp_path: Path) -> None:
    repository, first, _ = start(forge, source)
    file = tmp_path / "main.bundle"

    info = forge.export_bundle(repository, branch="main", destination=file)

    with file.open("rb") as stream:
        assert bundle_header.read_header(stream).refs["refs/heads/main"] == first
    assert info.head_sha == first
    assert (info.sha256, info.size) == (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size)


def test_bundle_of_an_absent_branch_is_refused(forge: base.Forge, tmp_path: Path) -> None:
    repository = forge.ensure_repository(SPEC)

    with pytest.raises(base.BranchNotFound):
        forge.export_bundle(repository, branch="main", destination=tmp_path / "main.bundle")

    assert not (tmp_path / "main.bundle").exists()


def test_file_is_read_within_its_limit(forge: base.Forge, source: GitSource) -> None:
    repository, _, work = start(forge, source)

    content = forge.read_file(repository, sha=work, path="README.md", limit=6)

    assert content == b"Books\n"
    with pytest.raises(base.FileOverLimit):
        forge.read_file(repository, sha=work, path="README.md", limit=5)


@pytest.mark.parametrize("path", ["absent", "app", "*", "../README.md", "app/"])
def test_absent_file_is_not_found(forge: base.Forge, source: GitSource, path: str) -> None:
    repository, _, work = start(forge, source)

    with pytest.raises(base.FileNotFound):
        forge.read_file(repository, sha=work, path=path, limit=100)

    with pytest.raises(base.CommitNotFound):
        forge.read_file(repository, sha="1" * 40, path="README.md", limit=100)


def test_deleting_a_branch_twice_succeeds(forge: base.Forge, source: GitSource) -> None:
    repository, _, _ = start(forge, source)

    forge.delete_branch(repository, "task/1")
    forge.delete_branch(repository, "task/1")

    assert forge.head(repository, "task/1") is None
    with pytest.raises(Invalid):
        forge.delete_branch(repository, "main")


def test_repository_that_is_gone_is_not_found(forge: base.Forge) -> None:
    repository = forge.ensure_repository(SPEC)

    with pytest.raises(base.RepositoryNotFound):
        forge.head(replace(repository, name="other"), "main")
    with pytest.raises(base.RepositoryTaken):
        forge.head(replace(repository, id="other"), "main")


@pytest.mark.unit
def test_fake_that_is_down_answers_nothing() -> None:
    forge = FakeForge()
    repository = forge.ensure_repository(SPEC)
    forge.down = True

    with pytest.raises(base.ForgeUnavailable):
        forge.head(repository, "main")

    assert forge.calls == ["ensure_repository", "head"]
