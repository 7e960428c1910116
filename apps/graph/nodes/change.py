"""The claimed commits become a proposed change, then a part of the default branch."""

from uuid import UUID

from apps.graph import judgement
from apps.graph.nodes import facts
from apps.graph.state import RunState, Wait
from apps.projects import selectors, services
from apps.projects.models import TaskEventKind
from apps.workers import selectors as workers

TITLE_CHARACTERS = 80


def propose_change(state: RunState) -> RunState:
    """Hand the worker's bundle to its inspection."""
    task = facts.task_of(state)
    outcome = workers.get_turn_outcome(turn_id=UUID(state["turn_id"]))
    change_id = services.propose_change(
        idempotency_key=facts.effect_key(state, "change"),
        project_id=UUID(state["project_id"]),
        task_id=task.pk,
        title=_title(task.spec, state["branch"]),
        branch=state["branch"],
        base_sha=state["base_sha"],
        head_sha=outcome.commit_sha or "",
        bundle_name=outcome.bundle_name or "",
        bundle_sha256=outcome.bundle_sha256 or "",
    )
    return {"change_id": str(change_id)}


def await_change(state: RunState) -> RunState | Wait:
    """Wait until the bundle was found sound and its head is on the task's branch."""
    outcome = selectors.get_change_outcome(merge_request_id=UUID(state["change_id"]))
    if outcome.is_open or outcome.status in ("proposed", "merging", "merged"):
        kind = TaskEventKind.REBASED if outcome.is_rebase else TaskEventKind.CHANGE_ACCEPTED
        facts.tell(state, kind, facts.change_of(state), {"branch": state["branch"], "sha": outcome.base_sha})
        return {"failure": None}
    if not outcome.is_final:
        return Wait("change", state["change_id"])
    failure = judgement.ended("change", outcome.status, outcome.failure)
    return facts.refused(failure, judgement.verdict_on_change(failure, seen=0))


def request_rebase(state: RunState) -> RunState:
    """Ask for the worker's commits on what the default branch has become; the worker keeps its own base."""
    number = state.get("rebase", 0) + 1
    change_id = services.rebase_change(
        idempotency_key=facts.effect_key(state, "change", f"{facts.round_of(state)}.{number}"),
        merge_request_id=UUID(state["change_id"]),
    )
    return {"change_id": str(change_id), "rebase": number}


def request_merge(state: RunState) -> RunState:
    """Ask for the verified change to be merged; a change on its way already is left alone."""
    change_id = UUID(state["change_id"])
    if selectors.get_change_outcome(merge_request_id=change_id).is_open:
        evidence = {**state.get("measured", {}), "verification": state["verification_id"]}
        services.request_merge(merge_request_id=change_id, evidence=evidence)
    return {}


def await_merge(state: RunState) -> RunState | Wait:
    """Wait until the merge was read back from the forge, or the forge's own checks said no."""
    change_id = UUID(state["change_id"])
    outcome = selectors.get_change_outcome(merge_request_id=change_id)
    if not outcome.is_final:
        return Wait("merge", state["change_id"])
    if outcome.status != "merged":
        failure = judgement.ended("merge", outcome.status, outcome.failure)
        seen = selectors.count_equal_failures(merge_request_id=change_id)
        return facts.refused(failure, judgement.verdict_on_change(failure, seen=seen))
    facts.tell(state, TaskEventKind.MERGED, "", {"sha": outcome.merge_sha})
    return {"failure": None, "commit_sha": outcome.merge_sha}


def _title(spec: str, branch: str) -> str:
    words = " ".join(spec.split())
    words = "".join(letter for letter in words if letter.isprintable())
    return words[:TITLE_CHARACTERS] or branch
