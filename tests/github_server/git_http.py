"""Git over HTTP: real `git http-backend` behind this GitHub's tokens, with what follows a push."""

import base64
import binascii
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.github_server import actions, events, git_store
from tests.github_server.access import find_token
from tests.github_server.protection import refusal_of_update
from tests.github_server.state import Repository, Token
from tests.github_server.wire import Answer, Refusal

ZERO = "0" * 40
CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitHub"'}


def serve(github: Any, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Answer one request of git's smart protocol."""
    owner, _, rest = path.strip("/").partition("/")
    name, _, service_path = rest.partition("/")
    token = _token(github, headers)
    repository = github.find(owner, name.removesuffix(".git"))
    moved = github.renamed(owner, name.removesuffix(".git"))
    if moved is not None and token.sees(moved.id):
        target = f"{github.base_url}/{moved.full_name}.git/{service_path}"
        return Answer(301, headers={"Location": f"{target}?{query}" if query else target})
    if repository is None or not token.sees(repository.id):
        raise Refusal(404, "Repository not found.")
    github.stage.git_calls += 1
    is_push = "git-receive-pack" in (service_path, query.removeprefix("service="))
    needed = "write" if is_push else "read"
    if not token.allows("contents", needed):
        words = f"Permission to {repository.full_name}.git denied to {github.app.slug}[bot]."
        raise Refusal(403, words)
    if service_path != "git-receive-pack":
        return _backend(repository, token, method, service_path, query, headers, body)
    with github.pushing[repository.id]:
        before = git_store.heads(repository.path)
        answer = _backend(repository, token, method, service_path, query, headers, body)
        after = git_store.heads(repository.path)
        with github.lock:
            _follow(github, repository, before, after, token)
    return answer


def _follow(
    github: Any, repository: Repository, before: dict[str, str], after: dict[str, str], token: Token
) -> None:
    names = [name for name in before | after if before.get(name) != after.get(name)]
    moves = {name: (before.get(name), after.get(name)) for name in names}
    if moves:
        actions.register(github, repository)
        events.pushed(github, repository, moves, by=token)


def _token(github: Any, headers: Mapping[str, str]) -> Token:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    try:
        return find_token(github, value)
    except Refusal:
        raise Refusal(401, "Invalid username or token.", headers=CHALLENGE) from None


def _backend(
    repository: Repository,
    token: Token,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    environment = {
        **git_store.ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.path.name}/{path}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": "token",
        "DOUBLE_TOKEN": token.value,
    }
    done = subprocess.run(
        ["git", "http-backend"], input=body, capture_output=True, env=environment, timeout=300
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(fields.pop("Status", "200").split()[0])
    return Answer(status, headers=fields, raw=[content])


def refuse_push(github: Any, repository_id: int, headers: Mapping[str, str], body: bytes) -> str | None:
    """Return why a push is refused, asked by its pre-receive hook; None lets it pass."""
    repository, token = github.by_id(repository_id), github.tokens.get(headers.get("double-token", ""))
    if repository is None or token is None:
        return "The repository or the token is gone"
    quarantine = {
        "GIT_OBJECT_DIRECTORY": headers["git-object-directory"],
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": headers["git-alternate-object-directories"],
    }
    for line in body.decode().splitlines():
        old, new, ref = line.split(" ", 2)
        words = _refuse_ref(repository, token, ref, old, new, quarantine)
        if words:
            return words
    return None


def _refuse_ref(
    repository: Repository, token: Token, ref: str, old: str, new: str, quarantine: dict[str, str]
) -> str | None:
    if ref.startswith("refs/pull/"):
        return f"error: deny updating a hidden ref {ref}"
    branch = ref.removeprefix("refs/heads/")
    if ref.startswith("refs/heads/"):
        before, after = (None if sha == ZERO else sha for sha in (old, new))
        if after is None and branch == repository.default_branch:
            return f"error: GH003: Refusing to delete the default branch {ref}"
        words = refusal_of_update(repository, branch, before, after, quarantine)
        if words:
            return f"error: GH006: Protected branch update failed for {ref}.\nerror: {words}"
    if new != ZERO and not token.allows("workflows", "write"):
        words = git_store.refusal_of_workflows(repository.path, (new, "--not", "--all"), quarantine)
        return f"error: {words}" if words else None
    return None
