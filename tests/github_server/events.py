"""What follows when something happens: pull requests follow branches, workflows start, hooks are called."""

from collections.abc import Mapping
from typing import Any

from tests.github_server import git_store, pull_view, runs, workflow
from tests.github_server.repositories import touch
from tests.github_server.state import Pull, Repository, Token
from tests.github_server.wire import now

FOLDER = ".github/workflows"
Moves = Mapping[str, tuple[str | None, str | None]]


def pushed(github: Any, repository: Repository, moves: Moves, *, by: Token) -> None:
    """Let everything follow branches that have moved."""
    touch(repository)
    for branch, (old, new) in moves.items():
        payload = {"ref": f"refs/heads/{branch}", "before": old or "0" * 40, "after": new or "0" * 40}
        payload |= {"created": old is None, "deleted": new is None, "forced": False, "commits": []}
        github.webhooks.send("push", payload, repository)
        if new is not None and not by.is_job:
            _start(github, repository, "push", branch, sha=new, head=branch, head_sha=new)
        for pull in [pull for pull in repository.pulls if pull.state == "open"]:
            _follow(github, repository, pull, branch, new, by)


def _follow(github: Any, repository: Repository, pull: Pull, branch: str, new: str | None, by: Token) -> None:
    if pull.base == branch and new and git_store.is_ancestor(repository.path, pull.head_sha, new):
        # Its commits arrived another way: the host sees them and calls it merged.
        pull.state, pull.merge_sha, pull.merged_at, pull.closed_at = "closed", new, now(), now()
        pull_request(github, repository, pull, "closed", by=by)
    elif pull.head == branch and new is None:
        pull.state, pull.closed_at = "closed", now()
        pull_request(github, repository, pull, "closed", by=by)
    elif pull.head == branch:
        pull_view.refresh(repository, pull)
        pull_request(github, repository, pull, "synchronize", by=by)


def pull_request(github: Any, repository: Repository, pull: Pull, action: str, *, by: Token) -> None:
    """Tell about a change of a pull request, and start its workflows."""
    shown = pull_view.show(github, github.base_url, repository, pull, is_whole=True)
    payload = {"action": action, "number": pull.number, "pull_request": shown}
    github.webhooks.send("pull_request", payload, repository)
    if action == "closed" or by.is_job or pull.merge_sha is None or not pull.mergeable:
        return
    _start(
        github,
        repository,
        "pull_request",
        pull.base,
        sha=pull.merge_sha,
        head=pull.head,
        head_sha=pull.head_sha,
        action=action,
        pull=pull,
    )


def _start(
    github: Any,
    repository: Repository,
    event: str,
    branch: str,
    *,
    sha: str,
    head: str,
    head_sha: str,
    action: str = "",
    pull: Pull | None = None,
) -> None:
    for path in git_store.list_files(repository.path, sha, FOLDER):
        if not path.endswith((".yml", ".yaml")):
            continue
        content = git_store.read(repository.path, sha, path) or b""
        try:
            document = workflow.read(path, content)
            is_started = document.starts_on(event, branch, action)
            complaint = ""
        except workflow.WorkflowInvalid as error:
            # An unusable file shows as a failed run of every push, as on the real one.
            document, is_started, complaint = None, event == "push", runs.complain(github, path, error)
        if is_started:
            ref = f"refs/pull/{pull.number}/merge" if pull else f"refs/heads/{branch}"
            spec = runs.Start(event, path, head, head_sha, sha, ref, pulls=(pull.number,) if pull else ())
            runs.start(github, repository, spec, document, complaint)
