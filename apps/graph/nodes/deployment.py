"""Releasing the head of the default branch, one service after the other."""

from typing import Any
from uuid import UUID

from apps.errors import NotFound, Unavailable
from apps.failures import Failure, FailureKind
from apps.graph import judgement, progress
from apps.graph.nodes import facts
from apps.graph.state import RunState, Verdict, Wait
from apps.infra import selectors, services
from apps.infra.requests import DeploymentRequest
from apps.projects import selectors as projects
from apps.projects.models import ProjectStatus, TaskEventKind


class ServiceBusy(Unavailable):
    """Another release of this service is on its way."""

    code = "deployment_under_way"


def load(state: RunState) -> RunState:
    """Fix what is released: the head of the default branch as it is now."""
    project = facts.task_of(state).project
    if project.status != ProjectStatus.ACTIVE:
        failure = Failure(
            stage="load",
            kind=FailureKind.USER,
            code="project_not_ready",
            message=f"The project is {project.status}: there is nothing to deploy yet.",
        )
        return facts.refused(failure, Verdict.STOP)
    return {
        "project_id": str(project.pk),
        "attempt": 1,
        "rework": 0,
        "max_attempts": 1,
        "max_reworks": 0,
        "failure": None,
        "commit_sha": project.head_sha,
        "bundle_name": project.workspace_name,
        "bundle_sha256": project.workspace_sha256,
        "service": 0,
        "services": len(facts.services_of(project)),
    }


def request_deployment(state: RunState) -> RunState:
    """Ask for the release of the present service; a full server or a busy service is waited for."""
    project = facts.project_of(state)
    services_listed = facts.services_of(project)
    if state["service"] >= len(services_listed):
        raise facts.ManifestUnusable(details={"field": "services"})
    service = services_listed[state["service"]]
    request = DeploymentRequest(
        project_id=project.pk,
        project_slug=project.slug,
        task_id=UUID(state["task_id"]),
        owner_id=project.owner_id,
        service_name=service["name"],
        commit_sha=state["commit_sha"],
        bundle_name=state["bundle_name"],
        bundle_sha256=state["bundle_sha256"],
        setup_command=facts.commands_of(project).get("setup", ""),
        run_command=service["run"],
        health_path=service["health"],
        data_directory=service.get("data") or "",
        environment=projects.get_secrets_for_deployment(project_id=project.pk),
    )
    key = f"run-{state['run_id']}-deployment-{state['service']}"
    try:
        deployment_id = services.request_deployment(idempotency_key=key, request=request)
    except services.DeploymentUnderWay as error:
        raise ServiceBusy() from error
    port = selectors.get_deployment_outcome(deployment_id=deployment_id).port
    facts.tell(
        state, TaskEventKind.PORT_ALLOCATED, str(state["service"]), {"port": port, "service": service["name"]}
    )
    return {"deployment_id": str(deployment_id)}


def await_deployment(state: RunState) -> RunState | Wait:
    """Wait until the release answers from outside, or never will."""
    deployment_id = UUID(state["deployment_id"])
    outcome = selectors.get_deployment_outcome(deployment_id=deployment_id)
    progress.copy_phases(task_id=UUID(state["task_id"]), deployment_id=deployment_id)
    if not outcome.is_final:
        return Wait("deployment", state["deployment_id"])
    if not outcome.is_live:
        failure = judgement.ended("deployment", outcome.status, outcome.failure)
        return facts.refused(failure, Verdict.STOP)
    return {}


def smoke(state: RunState) -> RunState:
    """Read the evidence of the smoke test and tell the address; without evidence nothing is told.

    Raises:
        NotFound: the release is live, yet nobody wrote down what was observed.

    """
    outcome = selectors.get_deployment_outcome(deployment_id=UUID(state["deployment_id"]))
    if not outcome.evidence or not outcome.url:
        raise NotFound("The release has no evidence of its smoke test.", code="evidence_missing")
    number = str(state["service"])
    facts.tell(state, TaskEventKind.SMOKE_PASSED, number, measured(outcome.evidence))
    data = {"url": outcome.url, "port": outcome.port, "sha": state["commit_sha"]}
    facts.tell(state, TaskEventKind.DEPLOYED, number, data)
    following = state["service"] + 1
    more = following < state["services"]
    return {
        "verdict": Verdict.AGAIN if more else Verdict.OK,
        "service": following,
        "url": state.get("url") or outcome.url,
    }


def measured(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers a card shows: installation, and from the start of the service to its answer."""
    names = {"install_seconds": "install_seconds", "start_seconds": "seconds"}
    known = {name: evidence.get(source) for source, name in names.items()}
    numbers: dict[str, Any] = {name: value for name, value in known.items() if isinstance(value, int | float)}
    status = (evidence.get("smoke") or {}).get("status")
    return {**numbers, "status": status} if isinstance(status, int) else numbers
