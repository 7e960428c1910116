"""Releasing a commit on a server over SSH: all services of the project at once."""

from uuid import UUID

from apps.errors import NotFound, OrchestratorError
from apps.graph import admission
from apps.graph.nodes import deployment, facts
from apps.graph.release import Release, release_of
from apps.graph.state import RunState, Verdict
from apps.infra import rollouts, selectors
from apps.infra.requests import ByUs, RolloutRequest
from apps.projects.models import TaskEventKind


def load(state: RunState) -> RunState:
    """Fix what is released, and that a server is where."""
    return {**deployment.load(state), "place": "server"}


def request_deployment(state: RunState) -> RunState:
    """Ask for a place and for the release on it; from here on no other release of the project begins."""
    release = release_of(state)
    try:
        deployment_id = rollouts.request_rollout(
            idempotency_key=f"run-{state['run_id']}-server", request=_request(state, release)
        )
    except OrchestratorError as error:
        return facts.refused(admission.refusal(error), Verdict.STOP)
    outcome = selectors.get_deployment_outcome(deployment_id=deployment_id)
    facts.tell(state, TaskEventKind.PORT_ALLOCATED, "", {"server": outcome.server})
    return {"deployment_id": str(deployment_id)}


def _request(state: RunState, release: Release) -> RolloutRequest:
    project, web = release.project, release.web
    known = {key: release.secrets[key].value for key in release.resolution.secret_keys}
    token = "" if web else _token_variable(release)
    return RolloutRequest(
        owner_id=project.owner_id,
        project_id=project.pk,
        project_slug=project.slug,
        task_id=UUID(state["task_id"]),
        commit_sha=state["commit_sha"],
        kind="web" if web else "bot" if token else "worker",
        health_path=(web.health if web else "") or "",
        roles=tuple(sorted(set(release.resolution.roles.values()))),
        facts=release.record(),
        by_us=ByUs(
            bundle_name=state["bundle_name"],
            bundle_sha256=state["bundle_sha256"],
            secrets={key: value for key, value in known.items() if value},
            token_variable=token,
        ),
    )


def _token_variable(release: Release) -> str:
    tokens = map(release.token_variable, release.manifest.services)
    return next((key for key in tokens if key in release.resolution.secret_keys), "")


def smoke(state: RunState) -> RunState:
    """Read the evidence of the smoke test and tell the address; without evidence nothing is told.

    Raises:
        NotFound: the release is live, yet nobody wrote down what was observed.

    """
    outcome = selectors.get_deployment_outcome(deployment_id=UUID(state["deployment_id"]))
    if not outcome.evidence:
        raise NotFound("The release has no evidence of its smoke test.", code="evidence_missing")
    facts.tell(state, TaskEventKind.SMOKE_PASSED, "", deployment.measured(outcome.evidence))
    bot = (outcome.evidence.get("smoke") or {}).get("bot", "")
    data = {"url": outcome.url, "sha": state["commit_sha"], "service": "project"}
    facts.tell(state, TaskEventKind.DEPLOYED, "", {**data, **({"bot": bot} if bot else {})})
    return {"url": outcome.url}
