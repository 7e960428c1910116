"""Releasing a commit as processes of ours, one service after the other."""

from typing import Any
from uuid import UUID

from apps.errors import NotFound, OrchestratorError
from apps.failures import Failure, FailureKind
from apps.graph import admission, deploy_faults, judgement, progress
from apps.graph.nodes import facts
from apps.graph.release import Release, release_of
from apps.graph.state import RunState, Verdict, Wait
from apps.infra import selectors, services
from apps.infra.models import ServiceDeployment
from apps.infra.requests import DeploymentRequest
from apps.projects.environment import as_json, variables_of
from apps.projects.manifest import Service
from apps.projects.models import Project, ProjectStatus, TaskEventKind


def load(state: RunState) -> RunState:
    """Fix what is released: the head of the default branch as it is now, or an earlier release again."""
    task = facts.task_of(state)
    project = task.project
    if project.status != ProjectStatus.ACTIVE:
        text = f"The project is {project.status}: there is nothing to deploy yet."
        return facts.refused(_unready("project_not_ready", text), Verdict.STOP)
    update: RunState = {
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
        "ports": {},
    }
    if task.rollback_to is None:
        return update
    return {**update, **_earlier(state, task.rollback_to, project)}


def _earlier(state: RunState, release_id: UUID, project: Project) -> RunState:
    """Return what differs when an earlier release is repeated; the bundle of today holds its commit, too."""
    earlier = ServiceDeployment.objects.filter(pk=release_id, project_id=project.pk).first()
    if earlier is None or earlier.live_at is None:
        text = "There is no earlier release of this project to go back to."
        return facts.refused(_unready("rollback_impossible", text), Verdict.STOP)
    facts.tell(state, TaskEventKind.ROLLBACK, "", {"sha": earlier.commit_sha})
    contract = earlier.contract or project.manifest or {}
    return {
        "commit_sha": earlier.commit_sha,
        "rollback_to": str(earlier.pk),
        "services": len(contract.get("services") or ()),
    }


def _unready(code: str, message: str) -> Failure:
    return Failure(stage="load", kind=FailureKind.USER, code=code, message=message)


def request_deployment(state: RunState) -> RunState:
    """Ask for the release of the present service; a full server or a busy service is waited for."""
    release = release_of(state)
    if state["service"] >= len(release.manifest.services):
        raise facts.ManifestUnusable(details={"field": "services"})
    service = release.manifest.services[state["service"]]
    key = f"run-{state['run_id']}-deployment-{state['service']}"
    try:
        deployment_id = services.request_deployment(
            idempotency_key=key, request=_request(state, release, service)
        )
    except OrchestratorError as error:
        return facts.refused(admission.refusal(error), Verdict.STOP)
    port = selectors.get_deployment_outcome(deployment_id=deployment_id).port
    told = {"port": port, "service": service.name}
    facts.tell(state, TaskEventKind.PORT_ALLOCATED, str(state["service"]), told)
    return {"deployment_id": str(deployment_id)}


def _request(state: RunState, release: Release, service: Service) -> DeploymentRequest:
    project, manifest = release.project, release.manifest
    variables = variables_of(manifest, service, facts=release.facts, secrets=release.secrets)
    return DeploymentRequest(
        project_id=project.pk,
        project_slug=project.slug,
        task_id=UUID(state["task_id"]),
        owner_id=project.owner_id,
        service_name=service.name,
        kind=service.kind,
        commit_sha=state["commit_sha"],
        bundle_name=state["bundle_name"],
        bundle_sha256=state["bundle_sha256"],
        setup_command=manifest.commands.setup,
        run_command=service.run,
        health_path=service.health or "",
        data_directory=service.data or "",
        environment={key: as_json(value) for key, value in variables.items()},
        secrets=tuple(secret.value for secret in release.secrets.values() if secret.value),
        token_variable=release.token_variable(service),
        facts=release.record(),
    )


def await_deployment(state: RunState) -> RunState | Wait:
    """Wait until the release answers from outside, or never will."""
    deployment_id = UUID(state["deployment_id"])
    outcome = selectors.get_deployment_outcome(deployment_id=deployment_id)
    progress.copy_phases(task_id=UUID(state["task_id"]), deployment_id=deployment_id)
    if not outcome.is_final:
        return Wait("deployment", state["deployment_id"])
    if not outcome.is_live:
        failure = judgement.ended("deployment", outcome.status, outcome.failure)
        fault = deploy_faults.fault_of_process(failure.code, outcome.log_tail)
        return facts.refused(deploy_faults.with_fault(failure, fault), Verdict.STOP)
    return {}


def smoke(state: RunState) -> RunState:
    """Read the evidence of the smoke test and tell the address; without evidence nothing is told.

    Raises:
        NotFound: the release is live, yet nobody wrote down what was observed.

    """
    outcome = selectors.get_deployment_outcome(deployment_id=UUID(state["deployment_id"]))
    service = release_of(state).manifest.services[state["service"]]
    if not outcome.evidence or (service.kind == "web" and not outcome.url):
        raise NotFound("The release has no evidence of its smoke test.", code="evidence_missing")
    number = str(state["service"])
    facts.tell(state, TaskEventKind.SMOKE_PASSED, number, measured(outcome.evidence))
    bot = (outcome.evidence.get("smoke") or {}).get("bot", "")
    data = {
        "url": outcome.url,
        "port": outcome.port,
        "sha": state["commit_sha"],
        "service": service.name,
        **({"bot": bot} if bot else {}),
    }
    facts.tell(state, TaskEventKind.DEPLOYED, number, data)
    following = state["service"] + 1
    ports = dict(state.get("ports") or {})
    if service.port and outcome.port:
        ports[service.port] = outcome.port
    return {
        "verdict": Verdict.AGAIN if following < state["services"] else Verdict.OK,
        "service": following,
        "ports": ports,
        "url": state.get("url") or outcome.url,
    }


def measured(evidence: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers a card shows: installation, and from the start of the service to its answer."""
    names = {"install_seconds": "install_seconds", "start_seconds": "seconds"}
    known = {name: evidence.get(source) for source, name in names.items()}
    numbers: dict[str, Any] = {name: value for name, value in known.items() if isinstance(value, int | float)}
    status = (evidence.get("smoke") or {}).get("status")
    return {**numbers, "status": status} if isinstance(status, int) else numbers
