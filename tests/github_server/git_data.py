"""Endpoints of git's own objects: references, commits, trees, blobs, comparisons and files."""

import base64
import re
from typing import Any

from tests.github_server import events, git_store
from tests.github_server.git_store import GitRefused
from tests.github_server.protection import refusal_of_update
from tests.github_server.routing import route
from tests.github_server.wire import Answer, Refusal, Request, not_found, page

_SHA = re.compile(r"[0-9a-f]{40}")
_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"


def _api(request: Request) -> str:
    return f"{request.url}/repos/{request.repository.full_name}"


def show_commit(request: Request, sha: str) -> dict[str, Any]:
    """Return a commit as /git/commits shows it."""
    values = (
        git_store.git(request.repository.path, "log", "-1", f"--format={_FORMAT}", sha).decode().split("\0")
    )
    commit, tree, parents, author, author_email, authored, committer, email, committed, message = values
    return {
        "sha": commit,
        "url": f"{_api(request)}/git/commits/{commit}",
        "html_url": f"{request.base_url}/{request.repository.full_name}/commit/{commit}",
        "author": {"name": author, "email": author_email, "date": authored},
        "committer": {"name": committer, "email": email, "date": committed},
        "message": message.rstrip("\n"),
        "tree": {"sha": tree, "url": f"{_api(request)}/git/trees/{tree}"},
        "parents": [
            {"sha": parent, "url": f"{_api(request)}/commits/{parent}"} for parent in parents.split()
        ],
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def _show_repository_commit(request: Request, sha: str) -> dict[str, Any]:
    commit = show_commit(request, sha)
    return {
        "sha": sha,
        "url": f"{_api(request)}/commits/{sha}",
        "html_url": commit["html_url"],
        "commit": commit,
        "parents": commit["parents"],
        "author": None,
        "committer": None,
    }


def _object(request: Request, sha: str, kind: str) -> str:
    if not _SHA.fullmatch(sha):
        raise Refusal(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
    try:
        found = git_store.text(request.repository.path, "cat-file", "-t", sha)
    except GitRefused:
        raise Refusal(422, "Object does not exist") from None
    if found != kind:
        raise Refusal(422, f"Object is not a {kind}")
    return sha


# --- References -------------------------------------------------------------


def _show_ref(request: Request, name: str, sha: str) -> dict[str, Any]:
    url = f"{_api(request)}/git/refs/heads/{name}"
    commit = {"type": "commit", "sha": sha, "url": f"{_api(request)}/git/commits/{sha}"}
    return {"ref": f"refs/heads/{name}", "node_id": f"REF_{name}", "url": url, "object": commit}


@route("GET", "/repos/{owner}/{repo}/git/ref/heads/{branch...}", needs="contents=read")
def read_ref(github: Any, request: Request) -> Answer:
    heads = git_store.heads(request.repository.path)
    if not heads:
        raise Refusal(409, "Git Repository is empty.")
    if request.params["branch"] not in heads:
        raise not_found()
    return Answer(200, _show_ref(request, request.params["branch"], heads[request.params["branch"]]))


@route("GET", "/repos/{owner}/{repo}/git/matching-refs/heads/{prefix...}", needs="contents=read")
def list_matching_refs(github: Any, request: Request) -> Answer:
    heads = sorted(git_store.heads(request.repository.path).items())
    found = [(name, sha) for name, sha in heads if name.startswith(request.params["prefix"])]
    return page(request, [_show_ref(request, name, sha) for name, sha in found])


@route("POST", "/repos/{owner}/{repo}/git/refs", needs="contents=write")
def create_ref(github: Any, request: Request) -> Answer:
    body = request.fields("Reference", ref=str, sha=str)
    if not body["ref"].startswith("refs/heads/"):
        raise Refusal(422, "Reference name must start with 'refs/heads/'.")
    name, sha = body["ref"].removeprefix("refs/heads/"), _object(request, body["sha"], "commit")
    if not git_store.heads(request.repository.path):
        raise Refusal(409, "Git Repository is empty.")
    _move(github, request, name, None, sha)
    return Answer(201, _show_ref(request, name, sha))


@route("PATCH", "/repos/{owner}/{repo}/git/refs/heads/{branch...}", needs="contents=write")
def change_ref(github: Any, request: Request) -> Answer:
    body = request.fields("Reference", sha=str)
    name, sha = request.params["branch"], _object(request, body["sha"], "commit")
    old = git_store.heads(request.repository.path).get(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if not body.get("force") and not git_store.is_ancestor(request.repository.path, old, sha):
        raise Refusal(422, "Update is not a fast forward")
    _move(github, request, name, old, sha)
    return Answer(200, _show_ref(request, name, sha))


@route("DELETE", "/repos/{owner}/{repo}/git/refs/heads/{branch...}", needs="contents=write")
def delete_ref(github: Any, request: Request) -> Answer:
    name = request.params["branch"]
    old = git_store.heads(request.repository.path).get(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if name == request.repository.default_branch:
        raise Refusal(422, "Cannot delete the default branch")
    _move(github, request, name, old, None)
    return Answer(204)


def _move(github: Any, request: Request, name: str, old: str | None, new: str | None) -> None:
    """Move a branch compare-and-set, as far as its protection lets it, and tell about it."""
    refusal = refusal_of_update(request.repository, name, old, new)
    if refusal:
        raise Refusal(422, refusal)
    arguments = ["-d", f"refs/heads/{name}"] if new is None else [f"refs/heads/{name}", new]
    try:
        git_store.git(request.repository.path, "update-ref", *arguments, old or "0" * 40)
    except GitRefused:
        raise Refusal(
            422, "Reference already exists" if old is None else "Reference cannot be updated"
        ) from None
    events.pushed(github, request.repository, {name: (old, new)}, by=request.token)


# --- Commits, trees, blobs --------------------------------------------------


@route("GET", "/repos/{owner}/{repo}/git/commits/{sha}", needs="contents=read")
def read_git_commit(github: Any, request: Request) -> Answer:
    try:
        return Answer(200, show_commit(request, _object(request, request.params["sha"], "commit")))
    except Refusal:
        raise not_found() from None


@route("POST", "/repos/{owner}/{repo}/git/commits", needs="contents=write")
def create_git_commit(github: Any, request: Request) -> Answer:
    body = request.fields("Commit", message=str, tree=str)
    tree = _object(request, body["tree"], "tree")
    parents = [_object(request, parent, "commit") for parent in body.get("parents") or ()]
    environment: dict[str, str] = {}
    author = body.get("author") or {}
    committer = body.get("committer") or author
    for role, who in (("AUTHOR", author), ("COMMITTER", committer)):
        environment[f"GIT_{role}_NAME"] = who.get("name", f"{github.app.slug}[bot]")
        environment[f"GIT_{role}_EMAIL"] = who.get("email", "bot@users.noreply.github.example")
        if who.get("date"):
            environment[f"GIT_{role}_DATE"] = who["date"]
    arguments = [part for parent in parents for part in ("-p", parent)]
    message = body["message"].encode()
    made = git_store.git(
        request.repository.path, "commit-tree", tree, *arguments, stdin=message, environment=environment
    )
    return Answer(201, show_commit(request, made.decode().strip()))


@route("GET", "/repos/{owner}/{repo}/commits", needs="contents=read")
def list_commits(github: Any, request: Request) -> Answer:
    if not git_store.heads(request.repository.path):
        raise Refusal(409, "Git Repository is empty.")
    start = git_store.resolve(
        request.repository.path, request.query.get("sha", request.repository.default_branch)
    )
    if start is None:
        raise not_found()
    ids = git_store.text(request.repository.path, "rev-list", start).split()
    answer = page(request, ids)
    answer.body = [_show_repository_commit(request, sha) for sha in answer.body]
    return answer


@route("GET", "/repos/{owner}/{repo}/commits/{ref...}", needs="contents=read")
def read_commit(github: Any, request: Request) -> Answer:
    sha = git_store.resolve(request.repository.path, request.params["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {request.params['ref']}")
    return Answer(200, _show_repository_commit(request, sha) | {"files": [], "stats": {}})


@route("GET", "/repos/{owner}/{repo}/git/trees/{sha}", needs="contents=read")
def read_tree(github: Any, request: Request) -> Answer:
    flags = ["-r", "-t"] if request.query.get("recursive") else []
    name = request.params["sha"]
    commit = git_store.resolve(request.repository.path, name)
    try:
        lines = git_store.text(request.repository.path, "ls-tree", "-l", *flags, commit or name).splitlines()
        tree = git_store.text(request.repository.path, "rev-parse", f"{commit or name}^{{tree}}")
    except GitRefused:
        raise not_found() from None
    entries = []
    for line in lines:
        facts, _, path = line.partition("\t")
        mode, kind, sha, size = facts.split()
        entry: dict[str, Any] = {"path": path, "mode": mode, "type": kind, "sha": sha}
        entries.append(entry | ({"size": int(size)} if size.isdigit() else {}))
    return Answer(
        200, {"sha": tree, "url": f"{_api(request)}/git/trees/{tree}", "tree": entries, "truncated": False}
    )


@route("GET", "/repos/{owner}/{repo}/git/blobs/{sha}", needs="contents=read")
def read_blob(github: Any, request: Request) -> Answer:
    try:
        content = git_store.git(request.repository.path, "cat-file", "blob", request.params["sha"])
    except GitRefused:
        raise not_found() from None
    return Answer(
        200,
        {
            "sha": request.params["sha"],
            "size": len(content),
            "encoding": "base64",
            "content": base64.encodebytes(content).decode(),
        },
    )


@route("GET", "/repos/{owner}/{repo}/contents/{path...}", needs="contents=read")
def read_contents(github: Any, request: Request) -> Answer:
    path, repository = request.params["path"], request.repository
    commit = git_store.resolve(repository.path, request.query.get("ref", repository.default_branch))
    if commit is None:
        raise Refusal(404, f"No commit found for the ref {request.query.get('ref')}")
    content = git_store.read(repository.path, commit, path)
    if content is None:
        raise not_found()
    sha = git_store.text(repository.path, "rev-parse", f"{commit}:{path}")
    encoded = base64.encodebytes(content).decode()
    if "raw" in request.headers.get("accept", ""):
        return Answer(200, raw=[content])
    body = {"type": "file", "name": path.rpartition("/")[2], "path": path, "sha": sha, "size": len(content)}
    return Answer(
        200, {**body, "encoding": "base64", "content": encoded, "url": f"{_api(request)}/contents/{path}"}
    )


@route("GET", "/repos/{owner}/{repo}/compare/{range...}", needs="contents=read")
def compare(github: Any, request: Request) -> Answer:
    base, _, head = request.params["range"].partition("...")
    path = request.repository.path
    first, second = git_store.resolve(path, base), git_store.resolve(path, head)
    if first is None or second is None:
        raise not_found()
    behind, ahead = git_store.text(path, "rev-list", "--left-right", "--count", f"{first}...{second}").split()
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    merge_base = git_store.text(path, "merge-base", first, second)
    ids = git_store.text(path, "rev-list", "--reverse", f"{first}..{second}").split()
    return Answer(
        200,
        {
            "status": status.get((ahead != "0", behind != "0"), "diverged"),
            "ahead_by": int(ahead),
            "behind_by": int(behind),
            "total_commits": int(ahead),
            "base_commit": _show_repository_commit(request, first),
            "merge_base_commit": _show_repository_commit(request, merge_base),
            "commits": [_show_repository_commit(request, sha) for sha in ids[:250]],
            "files": [],
        },
    )
