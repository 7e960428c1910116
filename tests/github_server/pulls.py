"""Endpoints of pull requests, and their merging."""

from typing import Any

from tests.github_server import events, git_store
from tests.github_server.protection import refusal_of_merge
from tests.github_server.pull_view import refresh, show
from tests.github_server.routing import route
from tests.github_server.state import Pull, Repository
from tests.github_server.wire import Answer, Refusal, Request, invalid, not_found, now, page


def _pull(request: Request) -> Pull:
    pull: Pull | None = request.repository.pull(request.number("number"))
    if pull is None:
        raise not_found()
    return pull


def _whole(github: Any, request: Request, pull: Pull) -> dict[str, Any]:
    return show(github, request.base_url, request.repository, pull, is_whole=True)


@route("GET", "/repos/{owner}/{repo}/pulls", needs="pull_requests=read")
def list_pulls(github: Any, request: Request) -> Answer:
    state, base, head = (request.query.get(name) for name in ("state", "base", "head"))
    # The real one ignores a head without its owner; whoever forgets it gets everything.
    branch = head.partition(":")[2] if head and ":" in head else None
    found = [
        pull
        for pull in request.repository.pulls
        if state == "all" or pull.state == (state or "open")
        if base in (None, pull.base) and branch in (None, pull.head)
    ]
    is_rising = request.query.get("direction", "asc" if request.query.get("sort") else "desc") == "asc"
    found.sort(key=lambda pull: pull.number, reverse=not is_rising)
    return page(
        request,
        [show(github, request.base_url, request.repository, pull, is_whole=False) for pull in found],
    )


@route("POST", "/repos/{owner}/{repo}/pulls", needs="pull_requests=write")
def create_pull(github: Any, request: Request) -> Answer:
    body = request.fields("PullRequest", title=str, head=str, base=str)
    repository, head = request.repository, body["head"].rpartition(":")[2]
    heads = git_store.heads(repository.path)
    for field, name in (("head", head), ("base", body["base"])):
        if name not in heads:
            raise invalid("PullRequest", field)
    if len(body.get("body") or "") > 65_536:
        raise invalid("PullRequest", "body", message="body is too long (maximum is 65536 characters)")
    if git_store.is_ancestor(repository.path, heads[head], heads[body["base"]]):
        error = f"No commits between {body['base']} and {head}"
        raise Refusal(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": error}]
        )
    if any((pull.state, pull.head, pull.base) == ("open", head, body["base"]) for pull in repository.pulls):
        error = f"A pull request already exists for {repository.owner}:{head}."
        raise Refusal(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": error}]
        )
    number = len(repository.pulls) + 1
    pull = Pull(
        number, body["title"], body.get("body") or "", head, body["base"], heads[head], heads[body["base"]]
    )
    pull.draft = bool(body.get("draft"))
    repository.pulls.append(pull)
    refresh(repository, pull)
    events.pull_request(github, repository, pull, "opened", by=request.token)
    return Answer(201, _whole(github, request, pull))


@route("GET", "/repos/{owner}/{repo}/pulls/{number}", needs="pull_requests=read")
def read_pull(github: Any, request: Request) -> Answer:
    pull = _pull(request)
    if pull.state == "open" and git_store.heads(request.repository.path).get(pull.base) != pull.base_sha:
        refresh(request.repository, pull)
    body = _whole(github, request, pull)
    pull.reads += 1
    return Answer(200, body)


@route("PATCH", "/repos/{owner}/{repo}/pulls/{number}", needs="pull_requests=write")
def change_pull(github: Any, request: Request) -> Answer:
    pull, body = _pull(request), request.json()
    pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body) or ""
    wanted = body.get("state", pull.state)
    if wanted not in ("open", "closed"):
        raise invalid("PullRequest", "state")
    if wanted != pull.state and pull.merged_at:
        error = "state cannot be changed. The pull request is already merged."
        raise invalid("PullRequest", "state", message=error)
    if wanted != pull.state:
        pull.state, pull.closed_at = wanted, now() if wanted == "closed" else None
        refresh(request.repository, pull)
        action = "closed" if wanted == "closed" else "reopened"
        events.pull_request(github, request.repository, pull, action, by=request.token)
    return Answer(200, _whole(github, request, pull))


@route("GET", "/repos/{owner}/{repo}/pulls/{number}/merge", needs="contents=read")
def is_merged(github: Any, request: Request) -> Answer:
    if _pull(request).merged_at is None:
        raise not_found()
    return Answer(204)


@route("PUT", "/repos/{owner}/{repo}/pulls/{number}/merge", needs="contents=write")
def merge_pull(github: Any, request: Request) -> Answer:
    pull, body = _pull(request), request.json()
    sha = merge(github, request.repository, pull, body, by=request.token)
    return Answer(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def merge(github: Any, repository: Repository, pull: Pull, body: dict[str, Any], *, by: Any) -> str:
    """Merge with a merge commit, as far as the rules let it.

    Raises:
        Refusal: 405 for what cannot be merged, 409 for another head than was expected, 403 for workflows.

    """
    _check_merge(repository, pull, body, by)
    tree = git_store.merge_tree(repository.path, pull.base_sha, pull.head_sha)
    if tree is None:
        raise Refusal(405, "Pull Request is not mergeable")
    title = (
        body.get("commit_title") or f"Merge pull request #{pull.number} from {repository.owner}/{pull.head}"
    )
    message = f"{title}\n\n{body.get('commit_message', pull.title)}".rstrip() + "\n"
    made = git_store.commit_tree(repository.path, tree, (pull.base_sha, pull.head_sha), message)
    try:
        git_store.git(repository.path, "update-ref", f"refs/heads/{pull.base}", made, pull.base_sha)
    except git_store.GitRefused:
        raise Refusal(405, "Base branch was modified. Review and try the merge again.") from None
    pull.state, pull.merge_sha, pull.merged_at, pull.closed_at = "closed", made, now(), now()
    events.pull_request(github, repository, pull, "closed", by=by)
    events.pushed(github, repository, {pull.base: (pull.base_sha, made)}, by=by)
    return made


def _check_merge(repository: Repository, pull: Pull, body: dict[str, Any], by: Any) -> None:
    if pull.state != "open" or pull.draft:
        raise Refusal(405, "Pull Request is not mergeable")
    refresh(repository, pull)
    if body.get("sha") not in (None, pull.head_sha):
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    if body.get("merge_method", "merge") != "merge":
        raise Refusal(405, "This double merges with merge commits alone")
    if not by.allows("workflows", "write"):
        words = git_store.refusal_of_workflows(repository.path, (f"{pull.base_sha}..{pull.head_sha}",))
        if words:
            raise Refusal(403, words)
    refusal = refusal_of_merge(repository, pull)
    if refusal:
        raise Refusal(405, refusal)
