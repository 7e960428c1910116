"""The end of both flows: what was decided goes onto the run's row, before anything is told."""

from typing import Any

from apps.graph import judgement
from apps.graph.models import Run
from apps.graph.nodes import facts
from apps.graph.state import RunState

RESULT_FIELDS = ("commit_sha", "branch", "url", "change_id", "verification_id", "deployment_id")


def finish(state: RunState) -> RunState:
    """Write the outcome; the executor makes it final together with the task."""
    status = judgement.final_status(state)
    outcome: dict[str, Any] = {"status": status, "failure": state.get("failure"), "result": None}
    if status == "succeeded":
        record: dict[str, Any] = dict(state)
        outcome["failure"] = None
        outcome["result"] = {name: record[name] for name in RESULT_FIELDS if name in record}
    Run.objects.filter(pk=facts.run_id(state), outcome__isnull=True).update(outcome=outcome)
    return {}
