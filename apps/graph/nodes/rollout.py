"""Releasing a commit by the project's own workflow at its git host."""

import json
from uuid import UUID

from apps.errors import OrchestratorError
from apps.failures import Failure
from apps.graph import admission, deploy_faults, judgement, progress
from apps.graph.deploy_faults import Fault
from apps.graph.nodes import deployment, facts
from apps.graph.release import release_of
from apps.graph.state import RunState, Verdict, Wait
from apps.infra import rollouts, selectors
from apps.infra.requests import RolloutRequest
from apps.projects import selectors as projects
from apps.projects import services
from apps.projects.models import TaskEventKind

#: A workflow that failed for no reason of the code's or a person's is run so often.
MAX_DISPATCHES = 3


def request_rollout(state: RunState) -> RunState:
    """Ask for a place: the project's server, and ports by role; from here on no other release begins."""
    release = release_of(state)
    project, web = release.project, release.web
    request = RolloutRequest(
        owner_id=project.owner_id,
        project_id=project.pk,
        project_slug=project.slug,
        task_id=UUID(state["task_id"]),
        commit_sha=state["commit_sha"],
        kind="web" if web else "worker",
        health_path=(web.health if web else "") or "",
        roles=tuple(sorted(set(release.resolution.roles.values()))),
        facts=release.record(),
    )
    try:
        deployment_id = rollouts.request_rollout(
            idempotency_key=f"run-{state['run_id']}-rollout", request=request
        )
        rollouts.retarget(deployment_id=deployment_id, request=request)
    except OrchestratorError as error:
        return facts.refused(admission.refusal(error), Verdict.STOP)
    outcome = selectors.get_deployment_outcome(deployment_id=deployment_id)
    facts.tell(state, TaskEventKind.PORT_ALLOCATED, "", {"server": outcome.server})
    return {"deployment_id": str(deployment_id), "dispatch_try": state.get("dispatch_try", 1)}


def request_dispatch(state: RunState) -> RunState:
    """Ask for the workflow to be run; the git host gets the secrets first."""
    release = release_of(state)
    deploy, deployment_id = release.manifest.deploy, UUID(state["deployment_id"])
    access = rollouts.get_access(deployment_id=deployment_id)
    roles = release.resolution.roles
    is_rollback = release.rollback_of is not None
    request = services.DispatchRequest(
        project_id=release.project.pk,
        task_id=UUID(state["task_id"]),
        deployment_id=deployment_id,
        workflow=deploy.workflow,
        environment=deploy.environment,
        ref=release.project.default_branch,
        sha=state["commit_sha"],
        is_rollback=is_rollback,
        inputs={
            "sha": state["commit_sha"],
            "ports": json.dumps({key: access.ports[role] for key, role in sorted(roles.items())}),
            "rollback": "true" if is_rollback else "false",
        },
        secret_keys=release.resolution.secret_keys,
        access=access.secrets,
    )
    key = f"run-{state['run_id']}-dispatch-{state['dispatch_try']}"
    return {"dispatch_id": str(services.request_dispatch(idempotency_key=key, request=request))}


def await_dispatch(state: RunState) -> RunState | Wait:
    """Wait until the workflow has ended; only what the evidence lays at the code's door goes back to it."""
    dispatch_id = UUID(state["dispatch_id"])
    outcome = projects.get_dispatch_outcome(dispatch_id=dispatch_id)
    progress.copy_workflow(task_id=UUID(state["task_id"]), dispatch_id=dispatch_id)
    if not outcome.is_final:
        return Wait("dispatch", state["dispatch_id"])
    number, deployment_id = str(state["dispatch_try"]), UUID(state["deployment_id"])
    if outcome.status == "succeeded":
        facts.tell(state, TaskEventKind.WORKFLOW_FINISHED, number, {"url": outcome.run_url})
        rollouts.report_success(
            deployment_id=deployment_id,
            url=outcome.url,
            images=outcome.images,
            evidence={"run": outcome.run_url, "bots": outcome.bots},
        )
        return {"failure": None}
    failure, fault = deploy_faults.failure_of_workflow(outcome)
    newer = _newer_commit(state, failure)
    may_try = state["dispatch_try"] < MAX_DISPATCHES
    again = may_try and (fault is Fault.ELSEWHERE or bool(newer))
    where = {name: (outcome.log or {}).get(name, "") for name in ("job", "step")}
    told = {"code": failure.code, "url": outcome.run_url, "again": again, **where}
    facts.tell(state, TaskEventKind.WORKFLOW_FAILED, number, told)
    if again:
        commit_sha = newer or state["commit_sha"]
        return {
            "verdict": Verdict.AGAIN,
            "dispatch_try": state["dispatch_try"] + 1,
            "commit_sha": commit_sha,
        }
    rollouts.report_failure(deployment_id=deployment_id, failure=failure)
    return facts.refused(failure, Verdict.STOP)


def _newer_commit(state: RunState, failure: Failure) -> str:
    """Return what the branch holds now if a merge was what moved it; empty for any other failure."""
    if failure.code != "deploy_branch_moved" or state.get("rollback_to"):
        return ""
    head_sha = facts.project_of(state).head_sha
    return head_sha if head_sha != state["commit_sha"] else ""


def smoke(state: RunState) -> RunState | Wait:
    """Wait until the release answers from outside, or never will."""
    deployment_id = UUID(state["deployment_id"])
    outcome = selectors.get_deployment_outcome(deployment_id=deployment_id)
    if not outcome.is_final:
        return Wait("deployment", state["deployment_id"])
    if not outcome.is_live:
        failure = judgement.ended("deployment", outcome.status, outcome.failure)
        # It runs and was found healthy on its server: what is wrong from outside is not judged from here.
        return facts.refused(deploy_faults.with_fault(failure, Fault.ELSEWHERE), Verdict.STOP)
    bots = (outcome.evidence.get("bots") or {}).values()
    # What has neither an address nor a token that we hold was watched by its own workflow only.
    if outcome.evidence.get("smoke") or bots:
        facts.tell(state, TaskEventKind.SMOKE_PASSED, "", deployment.measured(outcome.evidence))
    bot = next((told["bot"] for told in bots if told.get("bot")), "")
    data = {"url": outcome.url, "sha": state["commit_sha"], "service": "project"}
    facts.tell(state, TaskEventKind.DEPLOYED, "", {**data, **({"bot": bot} if bot else {})})
    return {"url": outcome.url}
