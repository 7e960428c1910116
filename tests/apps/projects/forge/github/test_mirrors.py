"""Git with GitHub: what it may do, what it is told, and what is left on this machine."""

import shutil
import subprocess
import threading

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.github import remote
from apps.projects.forge.github.transport import Request
from apps.projects.git import Git
from tests.apps.projects.forge.github.scripted import said
from tests.fakes_forge import MOMENT

pytestmark = pytest.mark.service

WORKFLOW = {".github/workflows/ci.yml": b"on: push\njobs: {}\n"}


def scopes(github) -> list[dict[str, str]]:
    return [token.permissions for token in github.tokens.values() if token.repository_ids]


def test_reading_takes_no_permission_to_write(github, forge, repository):
    github.tokens.clear()

    forge.head(repository, "main")
    forge.list_merges(repository)

    assert scopes(github) == [{"metadata": "read", "contents": "read"}]


def test_workflows_are_permitted_only_to_a_push_that_changes_one(github, forge, repository, source):
    first = source.commit_files({**WORKFLOW, "README.md": b"Books\n"})
    plain = source.commit_files({**WORKFLOW, "README.md": b"More\n"}, first)
    changed = source.commit_files({".github/workflows/ci.yml": b"on: [push]\njobs: {}\n"}, first)

    def permissions(sha: str, branch: str) -> bool:
        for key in forge.limits._redis.scan_iter("github:*:token:*"):
            forge.limits._redis.delete(key)
        github.tokens.clear()
        forge.push(repository, source=source.path, sha=sha, branch=branch, expected=None)
        return any("workflows" in scope for scope in scopes(github))

    assert permissions(first, "main") is True
    assert permissions(plain, "task/1") is False
    assert permissions(changed, "task/2") is True


def test_missing_permission_for_workflows_is_named(github, forge, repository, source):
    del github.app.granted["workflows"]
    first = source.commit_files(WORKFLOW)

    with pytest.raises(hosting.ForgeForbidden) as refused:
        forge.push(repository, source=source.path, sha=first, branch="main", expected=None)

    assert refused.value.details["permission"] == "workflows: write"


def test_token_is_in_no_command_line_and_in_no_file(github, forge, repository, source, tmp_path, monkeypatch):
    seen: list[str] = []
    start = subprocess.Popen

    def watched(command, *arguments, **options):
        seen.append(" ".join(map(str, command)))
        return start(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    mirror = forge.mirror(repository)

    assert any("push" in command for command in seen)
    kept = b"".join(
        path.read_bytes() for path in (*mirror.rglob("*"), *source.path.rglob("*")) if path.is_file()
    )
    for value in github.tokens:
        assert value not in " ".join(seen)
        assert value.encode() not in kept


def test_mirror_is_private_and_may_vanish_at_any_time(forge, repository, source, tmp_path):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    mirror = forge.mirror(repository)
    mode = mirror.parent.stat().st_mode & 0o777

    shutil.rmtree(mirror.parent)

    assert mode == 0o700
    assert mirror.name == f"{repository.id}.git"
    assert forge.read_file(repository, sha=first, path="README.md", limit=9) == b"Books\n"


def test_damaged_mirror_is_made_anew(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    (forge.mirror(repository) / "HEAD").unlink()

    assert forge.read_file(repository, sha=first, path="README.md", limit=9) == b"Books\n"


def test_mirror_forgets_branches_that_are_gone(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    work = source.commit_files({"README.md": b"More\n"}, first)
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.push(repository, source=source.path, sha=work, branch="task/1", expected=None)
    forge.mirror(repository)

    forge.delete_branch(repository, "task/1")

    refs = Git(repository=forge.mirror(repository)).text("for-each-ref", "--format=%(refname)")
    assert refs == "refs/heads/main"


def test_file_that_was_fetched_once_needs_no_host(github, forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.mirror(repository)
    before = github.stage.git_calls

    forge.read_file(repository, sha=first, path="README.md", limit=9)

    assert github.stage.git_calls == before


def test_two_pushes_of_one_branch_leave_one_winner(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    works = [source.commit_files({"n": str(number).encode()}, first) for number in range(4)]
    moved: list[str] = []

    def push(sha: str) -> None:
        try:
            forge.push(repository, source=source.path, sha=sha, branch="task/1", expected=None)
        except base.BranchMoved:
            moved.append(sha)

    threads = [threading.Thread(target=push, args=(sha,)) for sha in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(moved) == 3
    assert set(works) - set(moved) == {forge.head(repository, "task/1")}


def test_protected_branch_refuses_a_push_with_the_hosts_words(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    more = source.commit_files({"README.md": b"More\n"}, first)
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.protect_branch(repository, branch="main", checks=("check",))

    with pytest.raises(hosting.ForgeRefused) as refused:
        forge.push(repository, source=source.path, sha=more, branch="main", expected=first)

    assert "pull request" in refused.value.message
    assert forge.head(repository, "main") == first


def test_incomplete_history_is_refused(forge, repository, source):
    first = source.commit_files({"README.md": b"Books\n"})
    blob = source.git.text("rev-parse", f"{first}:README.md")
    (source.path / "objects" / blob[:2] / blob[2:]).unlink()

    with pytest.raises(base.CommitNotFound):
        forge.push(repository, source=source.path, sha=first, branch="main", expected=None)


def test_merge_of_what_a_person_merged_is_that_merge(github, forge, repository, source, tmp_path):
    first = source.commit_files({"README.md": b"Books\n"})
    work = source.commit_files({"README.md": b"More\n"}, first)
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.push(repository, source=source.path, sha=work, branch="task/1", expected=None)
    spec = hosting.PullRequestSpec(branch="task/1", into="main", title="Add", body="")
    pull = forge.open_pull_request(repository, spec)
    by_hand = forge._ask(
        repository,
        Request("PUT", f"/pulls/{pull.number}/merge", body={"merge_method": "merge"}),
        permissions={"contents": "write", "pull_requests": "write"},
    ).mapping["sha"]

    merged = forge.merge(
        repository,
        base.MergeSpec(
            request_id="run-1",
            source_sha=work,
            into="main",
            expected_base=first,
            message="Add",
            authored_at=MOMENT,
            pull_request=pull.number,
        ),
    )

    assert (merged.sha, merged.base_sha, merged.source_sha) == (by_hand, first, work)


def test_pull_request_of_a_branch_that_the_api_has_not_noticed_yet_is_waited_for(
    github, forge, repository, source
):
    first = source.commit_files({"README.md": b"Books\n"})
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    answer = said(422, {"message": "Validation Failed", "errors": [{"field": "head", "code": "invalid"}]})
    there = hosting.PullRequestSpec(branch="main", into="main", title="Add", body="")
    absent = hosting.PullRequestSpec(branch="task/1", into="main", title="Add", body="")

    assert isinstance(forge._why_not_opened(repository, answer, there), base.ForgeUnavailable)
    assert isinstance(forge._why_not_opened(repository, answer, absent), base.BranchNotFound)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("remote: error: GH006: Protected branch update failed\n ! [remote rejected]", hosting.ForgeRefused),
        ("remote: error: GH013: Repository rule violations found", hosting.ForgeRefused),
        ("refusing to allow a GitHub App to create or update workflow `x`", hosting.ForgeForbidden),
        ("remote: Permission to club/books.git denied to book-bot[bot].", hosting.ForgeForbidden),
        ("remote: error: GH001: Large files detected.\n ! [remote rejected]", hosting.ForgeRefused),
        (" ! [rejected] main -> main (fetch first)", base.ForgeUnavailable),
    ],
)
def test_refused_push_has_a_meaning(words, kind):
    assert type(remote.refusal_of(remote.PushRejected(words))) is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            "fatal: unable to access 'https://x/': The requested URL returned error: 429",
            hosting.ForgeRateLimited,
        ),
        (
            "fatal: unable to access 'https://x/': The requested URL returned error: 503",
            base.ForgeUnavailable,
        ),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", base.ForgeUnavailable),
        ("fatal: early EOF", base.ForgeUnavailable),
        ("The requested URL returned error: 403", hosting.ForgeForbidden),
    ],
)
def test_every_failure_of_git_has_a_meaning(words, kind, forge, repository):
    assert type(forge._meaning(repository, words)) is kind


def test_words_of_the_host_are_preferred_and_bounded():
    words = "To x\nremote: error: no\nremote: \nremote: really\n ! [rejected]" + "x" * 10_000

    assert remote.said(words) == "error: no really"
    assert len(remote.said("x" * 10_000)) == 500
