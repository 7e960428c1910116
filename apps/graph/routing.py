"""Where a run goes next: pure functions of its state."""

from apps.graph.state import RunState, Verdict

REWORK = "rework"
REQUEST_REBASE = "request_rebase"
REQUEST_REMOVAL = "request_removal"
FINISH = "finish"


def next_node(state: RunState, *, ok: str, again: str | None = None) -> str:
    """Name the node that follows.

    Args:
        state: after the node's update.
        ok: the node to go on with.
        again: where a declared loop begins.

    """
    match state["verdict"]:
        case Verdict.OK:
            return ok
        case Verdict.AGAIN if again is not None:
            return again
        case Verdict.REWORK if state["rework"] < state["max_reworks"]:
            return REWORK
        # A run that began before there were rebases has no budget for them.
        case Verdict.REBASE if state.get("rebase", 0) < state.get("max_rebases", 0):
            return REQUEST_REBASE
        case Verdict.NEW_ATTEMPT if state["attempt"] < state["max_attempts"]:
            return REQUEST_REMOVAL
        case Verdict.REWORK | Verdict.REBASE | Verdict.NEW_ATTEMPT | Verdict.STOP:
            return FINISH
        case unknown:
            raise ValueError(f"No route for verdict {unknown}")
