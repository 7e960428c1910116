"""The claim is checked in a fresh place by the project's own checks."""

from typing import Any
from uuid import UUID

from apps.graph import judgement
from apps.graph.nodes import facts
from apps.graph.state import RunState, Wait
from apps.projects import selectors as projects
from apps.projects.models import TaskEventKind
from apps.workers import selectors, services
from apps.workers.requests import VerificationRequest


def request_verification(state: RunState) -> RunState:
    """Ask for the checks; commands and protected paths are those of the base.

    The change says which commits: a rebase's are not those of the worker.
    """
    task = facts.task_of(state)
    project = task.project
    change = projects.get_change_outcome(merge_request_id=UUID(state["change_id"]))
    protected = () if task.allow_protected else tuple((project.manifest or {}).get("protected", ()))
    request = VerificationRequest(
        project_id=project.pk,
        task_id=UUID(state["task_id"]),
        bundle_name=change.checkout_name,
        bundle_sha256=change.checkout_sha256,
        base_sha=change.base_sha,
        head_sha=change.head_sha,
        commands=facts.commands_of(project),
        protected=protected,
    )
    key = facts.effect_key(state, "verification", facts.change_of(state))
    verification_id = services.request_verification(idempotency_key=key, request=request)
    facts.tell(state, TaskEventKind.CHECKS_STARTED, facts.change_of(state))
    return {"verification_id": str(verification_id)}


def await_verification(state: RunState) -> RunState | Wait:
    """Wait for the evidence; checks that could not run are neither a pass nor a failure of the work."""
    outcome = selectors.get_verification_outcome(verification_id=UUID(state["verification_id"]))
    if not outcome.is_final:
        return Wait("verification", state["verification_id"])
    numbers = measured(outcome.evidence)
    if outcome.status == "succeeded":
        facts.tell(state, TaskEventKind.CHECKS_PASSED, facts.change_of(state), numbers)
        return {"failure": None, "measured": numbers}
    failure = judgement.ended("verification", outcome.status, outcome.failure)
    facts.tell(state, TaskEventKind.CHECKS_FAILED, facts.change_of(state), {**numbers, "code": failure.code})
    return facts.refused(failure, judgement.verdict_on_work(failure))


def measured(evidence: dict[str, Any] | None) -> dict[str, Any]:
    """Return the numbers of the evidence that a card shows; unknown ones are absent, never zero."""
    record = evidence or {}
    names = ("passed", "total", "seconds", "install_seconds")
    return {name: record[name] for name in names if isinstance(record.get(name), int | float)}
