"""How a pull request stands: its trial merge, and what answers and webhooks show of it."""

from typing import Any

from tests.github_server import git_store
from tests.github_server.protection import refusal_of_merge
from tests.github_server.state import Pull, Repository
from tests.github_server.wire import now


def refresh(repository: Repository, pull: Pull) -> None:
    """Bring an open pull request up to its branches, with the trial merge that its checks run on."""
    if pull.state != "open":
        return
    heads = git_store.heads(repository.path)
    pull.head_sha, pull.base_sha = heads.get(pull.head, pull.head_sha), heads.get(pull.base, pull.base_sha)
    tree = git_store.merge_tree(repository.path, pull.base_sha, pull.head_sha)
    pull.mergeable, pull.reads, pull.updated_at = tree is not None, 0, now()
    git_store.git(repository.path, "update-ref", f"refs/pull/{pull.number}/head", pull.head_sha)
    if tree is None:
        pull.merge_sha = None
        return
    words = f"Merge {pull.head_sha} into {pull.base_sha}"
    parents = (pull.base_sha, pull.head_sha)
    pull.merge_sha = git_store.commit_tree(repository.path, tree, parents, words)
    git_store.git(repository.path, "update-ref", f"refs/pull/{pull.number}/merge", pull.merge_sha)


def _mergeable_state(repository: Repository, pull: Pull) -> str:
    if pull.mergeable is False:
        return "dirty"
    rules = repository.protection.get(pull.base)
    base = git_store.heads(repository.path).get(pull.base, pull.base_sha)
    is_behind = not git_store.is_ancestor(repository.path, base, pull.head_sha)
    if rules and (rules["required_status_checks"] or {}).get("strict") and is_behind:
        return "behind"
    return "blocked" if refusal_of_merge(repository, pull) else "clean"


def show(github: Any, base_url: str, repository: Repository, pull: Pull, *, is_whole: bool) -> dict[str, Any]:
    """Return a pull request; lists leave out what is found out later."""
    api = f"{base_url}/api/v3/repos/{repository.full_name}"
    html = f"{base_url}/{repository.full_name}/pull/{pull.number}"
    end = {
        "label": "",
        "user": {"login": repository.owner},
        "repo": {"id": repository.id, "name": repository.name},
    }
    body: dict[str, Any] = {
        "id": repository.id * 1000 + pull.number,
        "number": pull.number,
        "url": f"{api}/pulls/{pull.number}",
        "html_url": html,
        "issue_url": f"{api}/issues/{pull.number}",
        "state": pull.state,
        "title": pull.title,
        "body": pull.body,
        "draft": pull.draft,
        "locked": False,
        "user": {"login": f"{github.app.slug}[bot]", "type": "Bot"},
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "merge_commit_sha": pull.merge_sha,
        "auto_merge": None,
        "head": {**end, "label": f"{repository.owner}:{pull.head}", "ref": pull.head, "sha": pull.head_sha},
        "base": {**end, "label": f"{repository.owner}:{pull.base}", "ref": pull.base, "sha": pull.base_sha},
    }
    if not is_whole:
        return body
    is_known = pull.state != "open" or pull.reads >= github.stage.mergeable_after_reads
    return body | {
        "merged": pull.merged_at is not None,
        "mergeable": pull.mergeable if is_known and pull.state == "open" else None,
        "mergeable_state": _mergeable_state(repository, pull) if is_known else "unknown",
        "rebaseable": None,
        "merged_by": {"login": f"{github.app.slug}[bot]"} if pull.merged_at else None,
        "commits": int(
            git_store.text(repository.path, "rev-list", "--count", f"{pull.base_sha}..{pull.head_sha}")
        ),
    }
