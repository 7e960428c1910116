"""Where a run goes next: every verdict, every budget, every flow."""

import pytest

from apps.graph import routing
from apps.graph.flow import Flow
from apps.graph.flows import FLOWS
from apps.graph.state import RunState, Verdict

pytestmark = pytest.mark.unit


def state(verdict: str, *, attempt: int = 1, rework: int = 0) -> RunState:
    budgets: RunState = {"max_attempts": 3, "max_reworks": 2, "max_rebases": 3}
    return budgets | {"verdict": verdict, "attempt": attempt, "rework": rework}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (state(Verdict.OK), "next"),
        (state(Verdict.AGAIN), "loop"),
        (state(Verdict.REWORK), routing.REWORK),
        (state(Verdict.REWORK, rework=1), routing.REWORK),
        (state(Verdict.REWORK, rework=2), routing.FINISH),
        (state(Verdict.NEW_ATTEMPT), routing.REQUEST_REMOVAL),
        (state(Verdict.NEW_ATTEMPT, attempt=2), routing.REQUEST_REMOVAL),
        (state(Verdict.NEW_ATTEMPT, attempt=3), routing.FINISH),
        (state(Verdict.REBASE), routing.REQUEST_REBASE),
        (state(Verdict.REBASE) | {"rebase": 2}, routing.REQUEST_REBASE),
        (state(Verdict.REBASE) | {"rebase": 3}, routing.FINISH),
        ({"verdict": Verdict.REBASE}, routing.FINISH),
        (state(Verdict.STOP), routing.FINISH),
    ],
)
def test_a_verdict_and_its_budget_name_the_next_node(given: RunState, expected: str) -> None:
    assert routing.next_node(given, ok="next", again="loop") == expected


@pytest.mark.parametrize("verdict", ["", "unknown", Verdict.AGAIN])
def test_a_verdict_without_a_route_is_loud(verdict: str) -> None:
    with pytest.raises(ValueError, match="No route"):
        routing.next_node(state(verdict), ok="next")


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.name)
def test_every_node_is_reachable_and_leads_to_a_known_one(flow: Flow) -> None:
    seen, frontier = {flow.start}, [flow.start]

    while frontier:
        stop = flow.stops[frontier.pop()]
        loops = (routing.REWORK, routing.REQUEST_REBASE, routing.REQUEST_REMOVAL)
        escapes = [name for name in loops if name in flow.stops]
        for name in filter(None, [stop.ok, stop.again, routing.FINISH, *escapes]):
            assert name in flow.stops
            if name not in seen:
                seen.add(name)
                frontier.append(name)

    assert seen == set(flow.stops)


@pytest.mark.parametrize("flow", FLOWS.values(), ids=lambda flow: flow.name)
def test_every_wait_follows_its_request(flow: Flow) -> None:
    waits = {name.removeprefix("await_") for name in flow.stops if name.startswith("await_")}

    for subject in waits - {"turn", "change"}:
        assert flow.stops[f"request_{subject}"].ok == f"await_{subject}"
