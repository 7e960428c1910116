"""One prompt and its one result, which is a claim until it is checked."""

from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.failures import Failure, FailureKind
from apps.graph import judgement, progress, prompts
from apps.graph.models import Run
from apps.graph.nodes import facts
from apps.graph.state import RunState, Verdict, Wait
from apps.projects import selectors as projects
from apps.projects import services as project_services
from apps.projects.models import TaskEventKind
from apps.workers import attachments, selectors, services

SHOWN_SUMMARY_CHARACTERS = 500


def send_turn(state: RunState) -> RunState:
    """Give the worker its prompt; a worker that has gone meanwhile earns a new attempt."""
    task = facts.task_of(state)
    run = Run.objects.get(pk=facts.run_id(state))
    left = max(1, int((run.deadline_at - timezone.now()).total_seconds()))
    try:
        turn_id = services.send_turn(
            idempotency_key=facts.effect_key(state, "turn"),
            worker_id=UUID(state["worker_id"]),
            prompt=prompts.task_prompt(
                task.spec,
                evidence=_evidence(state),
                files=[file.file_name for file in attachments.list_of_task(task.pk)],
            ),
            timeout_seconds=min(settings.WORKERS_TURN_TIMEOUT_SECONDS, left),
        )
    except services.WorkerGone as error:
        failure = Failure(stage="turn", kind=FailureKind.PLATFORM, code="worker_gone", message=error.message)
        return facts.refused(failure, Verdict.NEW_ATTEMPT)
    agent = selectors.get_worker(UUID(state["worker_id"])).agent_type
    facts.tell(
        state, TaskEventKind.TURN_STARTED, facts.round_of(state), {"agent": agent, "rework": state["rework"]}
    )
    return {"turn_id": str(turn_id)}


def await_turn(state: RunState) -> RunState | Wait:
    """Wait for the result and judge the claim: a success needs a new commit on the right branch."""
    turn_id = UUID(state["turn_id"])
    outcome = selectors.get_turn_outcome(turn_id=turn_id)
    progress.copy_progress(run_id=facts.run_id(state), turn_id=turn_id)
    if not outcome.is_final:
        return Wait("turn", state["turn_id"])
    claim = judgement.Claim(
        status=outcome.status,
        commit_sha=outcome.commit_sha or "",
        branch=outcome.branch or "",
        bundle_name=outcome.bundle_name or "",
        failure=outcome.failure,
    )
    failure = judgement.judge_turn(claim, base_sha=state["base_sha"], branch=state["branch"])
    facts.tell(
        state,
        TaskEventKind.TURN_FINISHED,
        facts.round_of(state),
        {
            "seconds": round((outcome.duration_ms or 0) / 1000, 3),
            "sha": claim.commit_sha,
            "summary": outcome.summary[:SHOWN_SUMMARY_CHARACTERS],
            "code": failure.code if failure else "",
            "usage": outcome.usage,
        },
    )
    if failure is not None:
        return facts.refused(failure, judgement.verdict_on_turn(failure))
    return {"failure": None}


def rework(state: RunState) -> RunState:
    """Count one more round for the same worker; the refused change is withdrawn before its successor."""
    if "change_id" in state:
        change_id = UUID(state["change_id"])
        if projects.get_change_outcome(merge_request_id=change_id).is_open:
            project_services.withdraw_change(merge_request_id=change_id)
    number = state["rework"] + 1
    Run.objects.filter(pk=facts.run_id(state)).update(reworks=number)
    failure = state.get("failure") or {}
    facts.tell(state, TaskEventKind.REWORK, str(number), {"number": number, "code": failure.get("code", "")})
    return {"rework": number, "rebase": 0}


def _evidence(state: RunState) -> str:
    record = state.get("failure")
    if record is None or not state["rework"]:
        return ""
    failure = Failure.from_json(record)
    log_tail = ""
    if failure.stage == "verification" and "verification_id" in state:
        log_tail = selectors.get_verification(UUID(state["verification_id"])).log_tail
    elif failure.stage == "checks":
        log_tail = projects.get_host_excerpt(merge_request_id=UUID(state["change_id"]))
    return prompts.evidence(failure, log_tail=log_tail)
