"""Protection of branches: what gets through, and what does not whoever asks."""

from pathlib import Path
from typing import Any

import pytest

from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service

CI = """
on:
  pull_request:
  push: {branches: [main]}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - {uses: actions/checkout@v4}
      - run: test ! -e broken
"""
RULES = {
    "required_status_checks": {"strict": True, "contexts": ["check"]},
    "enforce_admins": True,
    "required_pull_request_reviews": {"required_approving_review_count": 0},
    "restrictions": None,
}
BOOKS = "/repos/book-club/books"


@pytest.fixture
def folder(github: GitHub, visitor: Visitor, tmp_path: Path) -> Path:
    """A checkout of a repository whose main is protected."""
    folder = tmp_path / "books"
    visitor.start(folder, "books", {".github/workflows/ci.yml": CI, "README.md": "Books"})
    visitor.call("PUT", f"{BOOKS}/branches/main/protection", RULES).raise_for_status()
    return folder


def settle(github: GitHub) -> None:
    """Wait for every run."""
    repository = github.find("book-club", "books")
    assert repository is not None
    for run in repository.runs:
        github.runner.wait(run)


def propose(visitor: Visitor, folder: Path, branch: str, files: dict[str, str]) -> tuple[str, int]:
    """Push a branch from where the checkout is, and open its pull request."""
    visitor.git(folder, "checkout", "--quiet", "-B", branch, "origin/main")
    sha = visitor.commit(folder, files, push=branch)
    answer = visitor.call("POST", f"{BOOKS}/pulls", {"title": branch, "head": branch, "base": "main"})
    answer.raise_for_status()
    return sha, answer.json()["number"]


def merge(visitor: Visitor, number: int, **body: Any) -> tuple[int, str]:
    answer = visitor.call("PUT", f"{BOOKS}/pulls/{number}/merge", body)
    return answer.status_code, answer.json()["message"]


def test_push_to_a_protected_branch_is_refused(github: GitHub, visitor: Visitor, folder: Path) -> None:
    sha = visitor.commit(folder, {"more": ""})

    pushed = visitor.git(folder, "push", "origin", "HEAD:main", check=False)

    assert pushed.returncode != 0
    assert "GH006" in pushed.stderr
    assert sha not in visitor.git(folder, "ls-remote", "origin").stdout


@pytest.mark.parametrize("arguments", [["--force", "HEAD~1:main"], ["--delete", "main"]])
def test_protected_branch_is_neither_rewound_nor_deleted(
    github: GitHub, visitor: Visitor, folder: Path, arguments: list[str]
) -> None:
    _, number = propose(visitor, folder, "task", {"more": ""})
    settle(github)
    assert merge(visitor, number)[0] == 200
    visitor.git(folder, "fetch", "--quiet", "origin")
    visitor.git(folder, "checkout", "--quiet", "origin/main")

    refused = visitor.git(folder, "push", "origin", *arguments, check=False)

    assert refused.returncode != 0


def test_reference_of_a_protected_branch_is_not_moved(github: GitHub, visitor: Visitor, folder: Path) -> None:
    sha, _ = propose(visitor, folder, "task", {"more": ""})
    settle(github)

    moved = visitor.call("PATCH", f"{BOOKS}/git/refs/heads/main", {"sha": sha})

    assert moved.status_code == 422
    assert "pull request" in moved.json()["message"]


def test_merge_waits_for_the_check_of_this_very_commit(
    github: GitHub, visitor: Visitor, folder: Path
) -> None:
    github.stage.holds_runs = True
    _, number = propose(visitor, folder, "task", {"more": ""})
    early = merge(visitor, number)
    github.stage.holds_runs = False
    settle(github)
    github.stage.holds_runs = True
    later = visitor.commit(folder, {"even more": ""}, push="task")

    unchecked = merge(visitor, number, sha=later)

    github.stage.holds_runs = False
    settle(github)
    assert early == (405, 'Required status check "check" is expected.')
    assert unchecked == (405, 'Required status check "check" is expected.')
    assert merge(visitor, number, sha=later)[0] == 200


def test_red_check_keeps_a_merge_out(github: GitHub, visitor: Visitor, folder: Path) -> None:
    _, number = propose(visitor, folder, "task", {"broken": ""})
    settle(github)

    status, _ = merge(visitor, number)

    assert status == 405


def test_green_branch_behind_its_base_is_refused_in_the_words_of_a_missing_check(
    github: GitHub, visitor: Visitor, folder: Path
) -> None:
    _, first = propose(visitor, folder, "one", {"one": ""})
    _, second = propose(visitor, folder, "two", {"two": ""})
    settle(github)
    assert merge(visitor, first)[0] == 200

    refused = merge(visitor, second)

    assert refused == (405, 'Required status check "check" is expected.')
    assert visitor.call("GET", f"{BOOKS}/pulls/{second}").json()["mergeable_state"] in ("unknown", "behind")
    assert visitor.call("GET", f"{BOOKS}/pulls/{second}").json()["mergeable_state"] == "behind"


def test_other_head_than_expected_is_not_merged(github: GitHub, visitor: Visitor, folder: Path) -> None:
    _, number = propose(visitor, folder, "task", {"more": ""})
    settle(github)

    status, words = merge(visitor, number, sha="1" * 40)

    assert (status, words) == (409, "Head branch was modified. Review and try the merge again.")


def test_conflict_is_found_out_and_not_merged(github: GitHub, visitor: Visitor, folder: Path) -> None:
    visitor.call("DELETE", f"{BOOKS}/branches/main/protection").raise_for_status()
    _, first = propose(visitor, folder, "one", {"README.md": "one"})
    _, second = propose(visitor, folder, "two", {"README.md": "two"})
    assert merge(visitor, first)[0] == 200

    seen = [visitor.call("GET", f"{BOOKS}/pulls/{second}").json()["mergeable"] for _ in range(2)]

    assert seen == [None, False]
    assert merge(visitor, second)[0] == 405


def test_protection_is_shown_as_it_was_asked_for(visitor: Visitor, folder: Path) -> None:
    read = visitor.call("GET", f"{BOOKS}/branches/main/protection").json()

    assert read["required_status_checks"]["contexts"] == ["check"]
    assert read["required_status_checks"]["strict"] is True
    assert read["enforce_admins"]["enabled"] is True
    assert visitor.call("PUT", f"{BOOKS}/branches/main/protection", {}).status_code == 422
    assert visitor.call("GET", f"{BOOKS}/branches/absent/protection").status_code == 404
