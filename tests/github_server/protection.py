"""Branch protection: its endpoints, and what it keeps out."""

from collections.abc import Mapping
from typing import Any

from tests.github_server import git_store
from tests.github_server.check_state import conclusions
from tests.github_server.routing import route
from tests.github_server.state import Pull, Repository
from tests.github_server.wire import Answer, Refusal, Request

REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")
PASSING = {"success", "neutral", "skipped"}


def _show(request: Request, branch: str) -> dict[str, Any]:
    rules = request.repository.protection[branch]
    url = f"{request.url}/repos/{request.repository.full_name}/branches/{branch}/protection"
    body: dict[str, Any] = {"url": url}
    checks, reviews = rules["required_status_checks"], rules["required_pull_request_reviews"]
    if checks is not None:
        names = [check["context"] for check in checks["checks"]]
        body["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "contexts_url": f"{url}/required_status_checks/contexts",
            "strict": checks["strict"],
            "contexts": names,
            "checks": checks["checks"],
        }
    if reviews is not None:
        body["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": bool(reviews.get("dismiss_stale_reviews")),
            "require_code_owner_reviews": bool(reviews.get("require_code_owner_reviews")),
            "required_approving_review_count": reviews.get("required_approving_review_count", 1),
        }
    body["enforce_admins"] = {"url": f"{url}/enforce_admins", "enabled": bool(rules["enforce_admins"])}
    for flag in ("allow_force_pushes", "allow_deletions", "required_linear_history", "block_creations"):
        body[flag] = {"enabled": bool(rules.get(flag))}
    return body


@route("PUT", "/repos/{owner}/{repo}/branches/{branch}/protection", needs="administration=write")
def protect(github: Any, request: Request) -> Answer:
    branch, body = request.params["branch"], request.json()
    if branch not in git_store.heads(request.repository.path):
        raise Refusal(404, "Branch not found")
    missing = [name for name in REQUIRED if name not in body]
    if missing:
        words = "\n".join(f'"{name}" wasn\'t supplied.' for name in missing)
        raise Refusal(422, f"Invalid request.\n\n{words}")
    checks = body["required_status_checks"]
    if checks is not None:
        if "strict" not in checks:
            raise Refusal(422, 'Invalid request.\n\n"strict" wasn\'t supplied.')
        named = checks.get("checks") or [{"context": name} for name in checks.get("contexts") or ()]
        checks = {
            "strict": bool(checks["strict"]),
            "checks": [{"context": item["context"], "app_id": item.get("app_id")} for item in named],
        }
    request.repository.protection[branch] = {**body, "required_status_checks": checks}
    return Answer(200, _show(request, branch))


@route("GET", "/repos/{owner}/{repo}/branches/{branch}/protection", needs="administration=read")
def read_protection(github: Any, request: Request) -> Answer:
    branch = request.params["branch"]
    if branch not in git_store.heads(request.repository.path):
        raise Refusal(404, "Branch not found")
    if branch not in request.repository.protection:
        raise Refusal(404, "Branch not protected")
    return Answer(200, _show(request, branch))


@route("DELETE", "/repos/{owner}/{repo}/branches/{branch}/protection", needs="administration=write")
def unprotect(github: Any, request: Request) -> Answer:
    read_protection(github, request)
    del request.repository.protection[request.params["branch"]]
    return Answer(204)


# --- What it keeps out ------------------------------------------------------


def _missing_checks(repository: Repository, rules: dict[str, Any], sha: str) -> list[str]:
    checks = rules["required_status_checks"]
    if checks is None:
        return []
    found = conclusions(repository, sha)
    return [item["context"] for item in checks["checks"] if found.get(item["context"]) not in PASSING]


def _expected(names: list[str]) -> str:
    if len(names) == 1:
        return f'Required status check "{names[0]}" is expected.'
    return f"{len(names)} of {len(names)} required status checks are expected."


def refusal_of_update(
    repository: Repository,
    branch: str,
    old: str | None,
    new: str | None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Return why a branch may not be moved directly; None lets it pass."""
    rules = repository.protection.get(branch)
    if rules is None:
        return None
    if new is None:
        return None if rules.get("allow_deletions") else "Cannot delete a protected branch"
    if old and not git_store.is_ancestor(repository.path, old, new, environment):
        return None if rules.get("allow_force_pushes") else "Cannot force-push to a protected branch"
    if rules["required_pull_request_reviews"] is not None:
        return "Changes must be made through a pull request."
    missing = _missing_checks(repository, rules, new)
    return _expected(missing) if missing else None


def refusal_of_merge(repository: Repository, pull: Pull) -> str | None:
    """Return why a pull request may not be merged.

    A branch behind its base is refused with the words of a missing check although that check is
    green: so does the real one when protection is strict.
    """
    rules = repository.protection.get(pull.base)
    if rules is None:
        return None
    missing = _missing_checks(repository, rules, pull.head_sha)
    if missing:
        return _expected(missing)
    reviews = rules["required_pull_request_reviews"]
    if reviews is not None and reviews.get("required_approving_review_count", 1) > 0:
        return "At least 1 approving review is required by reviewers with write access."
    return _expected_of_behind(repository, rules, pull)


def _expected_of_behind(repository: Repository, rules: dict[str, Any], pull: Pull) -> str | None:
    checks = rules["required_status_checks"]
    if not checks or not checks["strict"] or not checks["checks"]:
        return None
    base = git_store.heads(repository.path)[pull.base]
    if git_store.is_ancestor(repository.path, base, pull.head_sha):
        return None
    return _expected([item["context"] for item in checks["checks"]])
