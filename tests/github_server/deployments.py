"""Endpoints of deployments and their statuses."""

import contextlib
import json
from typing import Any

from tests.github_server import git_store
from tests.github_server.routing import route
from tests.github_server.state import Deployment
from tests.github_server.wire import Answer, Refusal, Request, invalid, not_found, now, page

STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}


def _url(request: Request, deployment: Deployment) -> str:
    return f"{request.url}/repos/{request.repository.full_name}/deployments/{deployment.id}"


def _show(request: Request, deployment: Deployment) -> dict[str, Any]:
    url = _url(request, deployment)
    return {
        "id": deployment.id,
        "node_id": f"DE_{deployment.id}",
        "url": url,
        "sha": deployment.sha,
        "ref": deployment.ref,
        "task": deployment.task,
        "payload": deployment.payload,
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": deployment.description,
        "creator": {"login": deployment.creator},
        "created_at": deployment.created_at,
        "updated_at": deployment.created_at,
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{request.url}/repos/{request.repository.full_name}",
        "transient_environment": False,
        "production_environment": deployment.environment == "production",
    }


@route("GET", "/repos/{owner}/{repo}/deployments", needs="deployments=read")
def list_deployments(github: Any, request: Request) -> Answer:
    names = ("sha", "ref", "task", "environment")
    found = [
        deployment
        for deployment in reversed(request.repository.deployments)
        if all(request.query.get(name) in (None, getattr(deployment, name)) for name in names)
    ]
    return page(request, [_show(request, deployment) for deployment in found])


@route("POST", "/repos/{owner}/{repo}/deployments", needs="deployments=write")
def create_deployment(github: Any, request: Request) -> Answer:
    body = request.fields("Deployment", ref=str)
    repository = request.repository
    sha = git_store.resolve(repository.path, body["ref"])
    if sha is None:
        raise Refusal(422, f"No ref found for: {body['ref']}")
    contexts = body.get("required_contexts")
    if contexts is None and any(not run.conclusion for run in repository.runs if run.head_sha == sha):
        raise Refusal(409, f"Conflict: Commit status checks failed for {body['ref']}.")
    payload = body.get("payload", {})
    if isinstance(payload, str):
        with contextlib.suppress(ValueError):
            payload = json.loads(payload or "{}")
    if len(json.dumps(payload)) > 65_536:
        raise invalid("Deployment", "payload", message="payload is too long")
    deployment = Deployment(
        id=github.next_id(),
        sha=sha,
        ref=body["ref"],
        task=body.get("task", "deploy"),
        environment=body.get("environment", "production"),
        description=body.get("description") or "",
        payload=payload,
        creator="github-actions[bot]" if request.token.is_job else f"{github.app.slug}[bot]",
    )
    repository.deployments.append(deployment)
    github.webhooks.send(
        "deployment", {"action": "created", "deployment": _show(request, deployment)}, repository
    )
    return Answer(201, _show(request, deployment))


def _find(request: Request) -> Deployment:
    for deployment in request.repository.deployments:
        if deployment.id == request.number("id"):
            found: Deployment = deployment
            return found
    raise not_found()


@route("GET", "/repos/{owner}/{repo}/deployments/{id}", needs="deployments=read")
def read_deployment(github: Any, request: Request) -> Answer:
    return Answer(200, _show(request, _find(request)))


@route("GET", "/repos/{owner}/{repo}/deployments/{id}/statuses", needs="deployments=read")
def list_statuses(github: Any, request: Request) -> Answer:
    return page(request, list(reversed(_find(request).statuses)))


@route("POST", "/repos/{owner}/{repo}/deployments/{id}/statuses", needs="deployments=write")
def create_status(github: Any, request: Request) -> Answer:
    deployment, body = _find(request), request.fields("DeploymentStatus", state=str)
    if body["state"] not in STATES:
        raise invalid("DeploymentStatus", "state")
    if len(body.get("description") or "") > 140:
        raise invalid("DeploymentStatus", "description", message="description is too long (maximum is 140)")
    number = github.next_id()
    status = {
        "id": number,
        "url": f"{_url(request, deployment)}/statuses/{number}",
        "state": body["state"],
        "description": body.get("description") or "",
        "environment": body.get("environment", deployment.environment),
        "environment_url": body.get("environment_url") or "",
        "target_url": body.get("target_url") or body.get("log_url") or "",
        "log_url": body.get("log_url") or "",
        "creator": {"login": "github-actions[bot]"},
        "created_at": now(),
        "updated_at": now(),
        "deployment_url": _url(request, deployment),
    }
    if body["state"] == "success" and body.get("auto_inactive", True):
        _replace(github, request, deployment)
    deployment.statuses.append(status)
    payload = {"action": "created", "deployment_status": status, "deployment": _show(request, deployment)}
    github.webhooks.send("deployment_status", payload, request.repository)
    return Answer(201, status)


def _replace(github: Any, request: Request, newer: Deployment) -> None:
    """Mark what a success replaces as inactive."""
    for other in request.repository.deployments:
        is_replaced = other is not newer and other.environment == newer.environment and other.statuses
        if is_replaced and other.statuses[-1]["state"] == "success":
            number = github.next_id()
            other.statuses.append(
                {**other.statuses[-1], "id": number, "state": "inactive", "created_at": now()}
            )
