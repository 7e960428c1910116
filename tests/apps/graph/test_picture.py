"""The picture of a run: where its stops are, where it is, and what it did again."""

import pytest

from apps.graph.deploy import DEPLOY
from apps.graph.engineering import ENGINEERING
from apps.graph.flow import Flow
from apps.graph.flows import FLOWS
from apps.graph.models import RunStatus
from apps.graph.picture import Picture, Visited, current_stop, draw
from apps.graph.state import Verdict

pytestmark = pytest.mark.unit


def visits(*names: str, verdict: str = Verdict.OK) -> list[Visited]:
    """Visits that went well, but for the last one."""
    last = len(names) - 1
    return [
        Visited(node=name, verdict=verdict if at == last else Verdict.OK) for at, name in enumerate(names)
    ]


def states(picture: Picture) -> dict[str, str]:
    return {stop.name: stop.state for stop in picture.stops}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=str)
def test_every_stop_is_drawn_once_and_none_over_another(flow: Flow) -> None:
    picture = draw(flow, visited=[], status=RunStatus.PENDING)

    assert {stop.name for stop in picture.stops} == set(flow.stops)
    assert len({(stop.x, stop.y) for stop in picture.stops}) == len(flow.stops)
    assert all(stop.right < picture.width and stop.y < picture.height for stop in picture.stops)


def test_run_that_has_not_begun_is_at_the_start() -> None:
    picture = draw(ENGINEERING, visited=[], status=RunStatus.PENDING)

    assert picture.current == ENGINEERING.start
    assert not any(way.is_taken for way in picture.ways)


def test_waiting_run_is_at_the_stop_after_its_last_visit() -> None:
    picture = draw(ENGINEERING, visited=visits("load", "request_scaffold"), status=RunStatus.WAITING)

    assert states(picture)["await_scaffold"] == "current"
    assert states(picture)["request_scaffold"] == "done"
    assert states(picture)["finish"] == "ahead"


@pytest.mark.parametrize(
    ("flow", "node", "verdict", "expected"),
    [
        (ENGINEERING, "await_verification", Verdict.REWORK, "rework"),
        (ENGINEERING, "await_merge", Verdict.REBASE, "request_rebase"),
        (ENGINEERING, "await_turn", Verdict.NEW_ATTEMPT, "request_removal"),
        (ENGINEERING, "await_turn", Verdict.STOP, "finish"),
        (DEPLOY, "resolve_secrets", Verdict.AGAIN, "request_answer"),
        (DEPLOY, "smoke", Verdict.AGAIN, "request_deployment"),
        (DEPLOY, "smoke", Verdict.REWORK, "finish"),
    ],
)
def test_verdict_leads_to_its_stop(flow: Flow, node: str, verdict: str, expected: str) -> None:
    stop = current_stop(flow, visits(node, verdict=verdict))

    assert stop == expected


def test_ways_back_that_were_taken_are_drawn() -> None:
    went = visits("await_verification", "rework", "send_turn")

    picture = draw(ENGINEERING, visited=went, status=RunStatus.RUNNING)

    plain = draw(ENGINEERING, visited=[], status=RunStatus.RUNNING)
    assert len(picture.ways) == len(plain.ways) + 1
    assert sum(way.is_taken for way in picture.ways) == 3


def test_stop_that_was_made_twice_says_so() -> None:
    went = visits("send_turn", "await_turn", "send_turn")

    picture = draw(ENGINEERING, visited=went, status=RunStatus.RUNNING)

    assert {stop.name: stop.visits for stop in picture.stops}["send_turn"] == 2


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CRASHED, RunStatus.CANCELED])
def test_run_that_ended_badly_shows_where(status: str) -> None:
    went = [*visits("load", "await_turn", verdict=Verdict.STOP), Visited(node="finish", verdict=Verdict.OK)]

    picture = draw(ENGINEERING, visited=went, status=status)

    assert states(picture)["await_turn"] == "failed"
    assert picture.current == ""


def test_stops_of_an_older_version_are_left_out() -> None:
    picture = draw(ENGINEERING, visited=visits("load", "abolished"), status=RunStatus.RUNNING)

    assert picture.current == "request_scaffold"
