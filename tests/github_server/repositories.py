"""Endpoints of the organisation and its repositories."""

import re
from typing import Any

from tests.github_server import git_store
from tests.github_server.routing import route
from tests.github_server.state import Repository
from tests.github_server.wire import Answer, Refusal, Request, invalid, not_found, now, page

_TOPIC = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def show(base_url: str, repository: Repository) -> dict[str, Any]:
    """Return a repository as GitHub shows it: the fields that matter and those a client insists on."""
    api = f"{base_url}/api/v3/repos/{repository.full_name}"
    html = f"{base_url}/{repository.full_name}"
    return {
        "id": repository.id,
        "node_id": f"R_{repository.id}",
        "name": repository.name,
        "full_name": repository.full_name,
        "private": repository.private,
        "visibility": "private" if repository.private else "public",
        "owner": {"login": repository.owner, "id": 3001, "type": "Organization"},
        "html_url": html,
        "description": repository.description or None,
        "fork": False,
        "archived": False,
        "disabled": False,
        "url": api,
        "clone_url": f"{html}.git",
        "git_url": f"git://{html.partition('://')[2]}.git",
        "ssh_url": f"git@{base_url.partition('://')[2]}:{repository.full_name}.git",
        "default_branch": repository.default_branch,
        "topics": repository.topics,
        "size": 1 if git_store.heads(repository.path) else 0,
        "created_at": repository.created_at,
        "pushed_at": repository.pushed_at,
        "updated_at": repository.pushed_at or repository.created_at,
        "permissions": {"admin": True, "push": True, "pull": True},
        "hooks_url": f"{api}/hooks",
        **repository.settings,
    }


@route("GET", "/orgs/{org}", needs="public")
def read_org(github: Any, request: Request) -> Answer:
    if request.params["org"].lower() != github.org.lower():
        raise not_found()
    return Answer(200, {"login": github.org, "id": 3001, "url": f"{request.url}/orgs/{github.org}"})


@route("GET", "/orgs/{org}/repos", needs="metadata=read")
def list_org_repositories(github: Any, request: Request) -> Answer:
    read_org(github, request)
    visible = [item for item in github.repositories if request.token.sees(item.id)]
    return page(request, [show(request.base_url, item) for item in visible])


@route("POST", "/orgs/{org}/repos", needs="administration=write")
def create_repository(github: Any, request: Request) -> Answer:
    read_org(github, request)
    if request.token.repository_ids is not None:
        raise Refusal(403, "Resource not accessible by integration")
    body = request.fields("Repository", name=str)
    if not _NAME.fullmatch(body["name"]):
        raise invalid("Repository", "name")
    if len(body.get("description") or "") > 350:
        raise invalid("Repository", "description", message="description cannot be more than 350 characters")
    if github.find(github.org, body["name"]):
        error = {"resource": "Repository", "code": "custom", "field": "name"}
        error["message"] = "name already exists on this account"
        raise Refusal(422, "Repository creation failed.", errors=[error])
    repository = github.create_repository(
        body["name"], description=body.get("description") or "", private=bool(body.get("private", False))
    )
    repository.settings = {key: body[key] for key in body if key.startswith(("has_", "allow_", "delete_"))}
    if body.get("auto_init"):
        _initial_commit(repository)
    return Answer(201, show(request.base_url, repository))


def _initial_commit(repository: Repository) -> None:
    blob = git_store.git(repository.path, "hash-object", "-w", "--stdin", stdin=b"# Books\n").decode().strip()
    entry = f"100644 blob {blob}\tREADME.md\n".encode()
    tree = git_store.git(repository.path, "mktree", stdin=entry).decode().strip()
    commit = git_store.commit_tree(repository.path, tree, (), "Initial commit")
    git_store.git(repository.path, "update-ref", f"refs/heads/{repository.default_branch}", commit)


@route("GET", "/repos/{owner}/{repo}", needs="metadata=read")
def read_repository(github: Any, request: Request) -> Answer:
    return Answer(200, show(request.base_url, request.repository))


@route("GET", "/repositories/{id}", needs="metadata=read")
def read_repository_by_id(github: Any, request: Request) -> Answer:
    repository = github.by_id(request.number("id"))
    if repository is None or not request.token.sees(repository.id):
        raise not_found()
    return Answer(200, show(request.base_url, repository))


@route("PATCH", "/repos/{owner}/{repo}", needs="administration=write")
def change_repository(github: Any, request: Request) -> Answer:
    body, repository = request.json(), request.repository
    if "name" in body and body["name"] != repository.name:
        if github.find(github.org, body["name"]):
            raise invalid("Repository", "name", message="name already exists on this account")
        repository.former_names.add(repository.name.lower())
        repository.name = body["name"]
    repository.description = body.get("description", repository.description) or ""
    repository.private = body.get("private", repository.private)
    if "default_branch" in body:
        if body["default_branch"] not in git_store.heads(repository.path):
            raise invalid("Repository", "default_branch")
        repository.default_branch = body["default_branch"]
        head = f"refs/heads/{repository.default_branch}"
        git_store.git(repository.path, "symbolic-ref", "HEAD", head)
    repository.settings |= {key: body[key] for key in body if key.startswith(("has_", "allow_", "delete_"))}
    return Answer(200, show(request.base_url, repository))


@route("DELETE", "/repos/{owner}/{repo}", needs="administration=write")
def delete_repository(github: Any, request: Request) -> Answer:
    github.delete_repository(request.repository)
    return Answer(204)


@route("GET", "/repos/{owner}/{repo}/topics", needs="metadata=read")
def read_topics(github: Any, request: Request) -> Answer:
    return Answer(200, {"names": request.repository.topics})


@route("PUT", "/repos/{owner}/{repo}/topics", needs="administration=write")
def set_topics(github: Any, request: Request) -> Answer:
    names = request.fields("Repository", names=list)["names"]
    if len(names) > 20 or not all(isinstance(name, str) and _TOPIC.fullmatch(name) for name in names):
        words = "must start with a lowercase letter or number, consist of 50 characters or less"
        raise Refusal(422, f"Validation Failed: Topics {words}, and can include hyphens.")
    request.repository.topics = list(dict.fromkeys(names))
    return Answer(200, {"names": request.repository.topics})


# --- Branches ---------------------------------------------------------------


def show_branch(request: Request, name: str, sha: str) -> dict[str, Any]:
    api = f"{request.url}/repos/{request.repository.full_name}"
    is_protected = name in request.repository.protection
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
        "protected": is_protected,
        "protection": {"enabled": is_protected},
        "protection_url": f"{api}/branches/{name}/protection",
    }


@route("GET", "/repos/{owner}/{repo}/branches", needs="contents=read")
def list_branches(github: Any, request: Request) -> Answer:
    heads = git_store.heads(request.repository.path)
    return page(request, [show_branch(request, name, sha) for name, sha in sorted(heads.items())])


@route("GET", "/repos/{owner}/{repo}/branches/{branch...}", needs="contents=read")
def read_branch(github: Any, request: Request) -> Answer:
    name = request.params["branch"]
    sha = git_store.heads(request.repository.path).get(name)
    if sha is None:
        raise Refusal(404, "Branch not found")
    return Answer(200, show_branch(request, name, sha))


def touch(repository: Repository) -> None:
    """Remember that something was pushed."""
    repository.pushed_at = now()
