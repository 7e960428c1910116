"""Who may do what: the app's own credential, installations, tokens and their permissions."""

import secrets
import time
from datetime import UTC, datetime
from typing import Any

import jwt

from tests.github_server.routing import route
from tests.github_server.state import LEVELS, Token
from tests.github_server.wire import Answer, Refusal, Request, forbidden, not_found, page

MAX_JWT_SECONDS = 600
#: What the app was granted when it was installed.
GRANTED = {
    "metadata": "read",
    "administration": "write",
    "contents": "write",
    "workflows": "write",
    "pull_requests": "write",
    "checks": "read",
    "statuses": "read",
    "actions": "write",
    "secrets": "write",
    "deployments": "read",
}


def credential_of(request: Request) -> str:
    """Return what came in the Authorization header."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() in ("token", "bearer") else ""


def check_app(github: Any, credential: str) -> None:
    """Check the app's JSON Web Token against its public key.

    Raises:
        Refusal: it is none of ours, or its times are wrong.

    """
    if credential.count(".") != 2:
        raise Refusal(401, "A JSON web token could not be decoded")
    options: Any = {"verify_iat": False, "verify_exp": False, "require": ["iat", "exp", "iss"]}
    try:
        claims = jwt.decode(credential, github.app.public_key, algorithms=["RS256"], options=options)
    except jwt.PyJWTError:
        raise Refusal(401, "A JSON web token could not be decoded") from None
    if str(claims["iss"]) not in (str(github.app.id), github.app.client_id):
        raise Refusal(401, "Integration not found")
    now = time.time()
    if claims["exp"] <= now:
        raise Refusal(401, "'Expiration time' claim ('exp') must be a numeric value in the future")
    if claims["exp"] > now + MAX_JWT_SECONDS + 5:
        raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
    if claims["iat"] > now + 60:
        raise Refusal(401, "'Issued at' claim ('iat') must be an Integer representing a time in the past")


def find_token(github: Any, credential: str) -> Token:
    """Return a token that lives.

    Raises:
        Refusal: there is none of that value, or it has expired.

    """
    token: Token | None = github.tokens.get(credential)
    if not credential:
        raise Refusal(401, "Requires authentication")
    if token is None or token.is_expired:
        raise Refusal(401, "Bad credentials")
    return token


def check_permission(token: Token, needs: str) -> None:
    """Refuse a token that lacks the one permission an endpoint asks for."""
    if not needs:
        return
    permission, _, level = needs.partition("=")
    if not token.allows(permission, level):
        raise forbidden(needs)


def authorize(github: Any, request: Request, needs: str) -> None:
    """Let a call pass, with its token and repository filled in, or refuse it."""
    if needs == "public":
        return None
    credential = credential_of(request)
    if needs == "app":
        return check_app(github, credential)
    request.token = find_token(github, credential)
    if "repo" in request.params:
        request.repository = github.find(request.params["owner"], request.params["repo"])
        moved = github.renamed(request.params["owner"], request.params["repo"])
        if moved is not None and request.token.sees(moved.id):
            raise _moved(request, moved.id)
        if request.repository is None or not request.token.sees(request.repository.id):
            raise not_found()
    return check_permission(request.token, needs)


def _moved(request: Request, repository_id: int) -> Refusal:
    """Lead from a former name to the id, as the host does until somebody takes the name."""
    rest = request.path.split("/", 4)[4:]
    url = "/".join([f"{request.url}/repositories/{repository_id}", *rest])
    status = 301 if request.method == "GET" else 307
    return Refusal(status, "Moved Permanently", headers={"Location": url})


# --- Endpoints --------------------------------------------------------------


@route("GET", "/app", needs="app")
def read_app(github: Any, request: Request) -> Answer:
    app = github.app
    body = {
        "id": app.id,
        "slug": app.slug,
        "client_id": app.client_id,
        "name": app.slug,
        "permissions": GRANTED,
    }
    return Answer(200, {**body, "owner": {"login": github.org}, "events": [], "installations_count": 1})


def _installation(github: Any, request: Request) -> dict[str, Any]:
    app = github.app
    return {
        "id": app.installation_id,
        "app_id": app.id,
        "app_slug": app.slug,
        "account": {"login": github.org, "id": 3001, "type": "Organization"},
        "target_type": "Organization",
        "target_id": 3001,
        "repository_selection": "all",
        "permissions": app.granted,
        "events": [],
        "access_tokens_url": f"{request.url}/app/installations/{app.installation_id}/access_tokens",
        "repositories_url": f"{request.url}/installation/repositories",
        "html_url": f"{request.base_url}/organizations/{github.org}/settings/installations/2001",
        "suspended_at": None,
    }


@route("GET", "/orgs/{org}/installation", needs="app")
def read_installation(github: Any, request: Request) -> Answer:
    if request.params["org"].lower() != github.org.lower() or not github.app.is_installed:
        raise not_found()
    return Answer(200, _installation(github, request))


@route("GET", "/repos/{owner}/{name}/installation", needs="app")
def read_repository_installation(github: Any, request: Request) -> Answer:
    if github.find(request.params["owner"], request.params["name"]) is None or not github.app.is_installed:
        raise not_found()
    return Answer(200, _installation(github, request))


@route("GET", "/app/installations", needs="app")
def list_installations(github: Any, request: Request) -> Answer:
    return page(request, [_installation(github, request)] if github.app.is_installed else [])


@route("GET", "/app/installations/{installation}", needs="app")
def read_installation_by_id(github: Any, request: Request) -> Answer:
    if request.number("installation") != github.app.installation_id or not github.app.is_installed:
        raise not_found()
    return Answer(200, _installation(github, request))


@route("POST", "/app/installations/{installation}/access_tokens", needs="app")
def make_token(github: Any, request: Request) -> Answer:
    read_installation_by_id(github, request)
    body = request.json()
    permissions = body.get("permissions") or github.app.granted
    for name, level in permissions.items():
        if LEVELS.get(level, 9) > LEVELS[github.app.granted.get(name, "")]:
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    repositories = _chosen(github, body)
    token = github.mint(
        {"metadata": "read", **permissions},
        repository_ids=None if repositories is None else frozenset(item.id for item in repositories),
    )
    answer: dict[str, Any] = {
        "token": token.value,
        "expires_at": datetime.fromtimestamp(token.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "permissions": token.permissions,
        "repository_selection": "all" if repositories is None else "selected",
    }
    if repositories is not None:
        answer["repositories"] = [github.show(request, item) for item in repositories]
    return Answer(201, answer)


def _chosen(github: Any, body: dict[str, Any]) -> list[Any] | None:
    """Return the repositories a token is asked for; None is all."""
    names, ids = body.get("repositories"), body.get("repository_ids")
    if not names and not ids:
        return None
    found = [github.find(github.org, name) for name in names or ()]
    found += [github.by_id(repository_id) for repository_id in ids or ()]
    if None in found:
        words = "does not exist or is not accessible to the parent installation"
        raise Refusal(422, f"There is at least one repository that {words}.")
    return found


@route("GET", "/installation/repositories", needs="")
def list_installation_repositories(github: Any, request: Request) -> Answer:
    visible = [item for item in github.repositories if request.token.sees(item.id)]
    return page(request, [github.show(request, item) for item in visible], "repositories")


@route("DELETE", "/installation/token", needs="")
def revoke_token(github: Any, request: Request) -> Answer:
    github.tokens.pop(request.token.value, None)
    return Answer(204)


@route("GET", "/rate_limit", needs="")
def read_rate(github: Any, request: Request) -> Answer:
    github.stage.forgive()
    answer: Answer = github.stage.rate()
    return answer


def new_token_value() -> str:
    return f"ghs_{secrets.token_hex(18)}"
