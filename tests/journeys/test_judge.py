"""The judge of the kills is strict: what it lets pass is right, and nothing else."""

from typing import Any

import pytest

from tests.journeys import judge
from tests.journeys.judge import KILLED, LOST, OUT_OF_MEMORY, STOPPED, SUCCEEDED, End, Stage, Strike

pytestmark = pytest.mark.unit


def strike(kind: str, stage: Stage = Stage.WORKING, *, at: float = 100.0) -> Strike:
    return Strike(kill=1, kind=kind, at=at, stage=stage)


def row(end: End, **fields: Any) -> dict[str, Any]:
    status, code, exit_code = end
    is_oom = code == "out_of_memory"
    told = {"turn_codes": [code] if code else [], "finished": 105.0, "oom_killed": is_oom}
    return {"status": status, "code": code, "exit_code": exit_code, "lost_since": None, **told, **fields}


@pytest.mark.parametrize(
    ("strikes", "ends"),
    [
        ([], {SUCCEEDED}),
        ([strike("flow"), strike("ingest")], {SUCCEEDED}),
        ([strike("container")], {KILLED}),
        ([strike("oom")], {OUT_OF_MEMORY}),
        ([strike("flow"), strike("oom", at=101.0)], {OUT_OF_MEMORY}),
        ([strike("daemon-stop", Stage.WAITING)], {SUCCEEDED}),
        ([strike("daemon-kill", Stage.STARTING)], {SUCCEEDED, STOPPED, KILLED, LOST}),
        ([strike("daemon-stop", Stage.STARTING)], {SUCCEEDED, STOPPED, KILLED}),
        ([strike("daemon-kill")], {STOPPED, KILLED}),
        ([strike("daemon-stop", Stage.LEAVING)], {SUCCEEDED}),
        ([strike("oom"), strike("daemon-stop", at=104.0)], {OUT_OF_MEMORY, STOPPED, KILLED}),
        ([strike("oom"), strike("daemon-stop", at=190.0)], {OUT_OF_MEMORY}),
    ],
)
def test_each_kill_has_its_own_ends(strikes: list[Strike], ends: set[End]) -> None:
    found = judge.right_ends(strikes)

    assert found == ends


def test_end_is_due_to_the_last_kill_that_it_may_have_survived_before() -> None:
    strikes = [strike("ingest"), strike("daemon-stop", Stage.STARTING, at=102.0), strike("flow", at=103.0)]

    assert judge.killer_of(strikes, "crashed") == strikes[1]
    assert judge.killer_of(strikes, "succeeded") is None


def test_right_end_in_time_is_no_problem() -> None:
    found = judge.problems_of_end([strike("container")], row(KILLED))

    assert found == []


@pytest.mark.parametrize(
    ("kind", "ended", "word"),
    [
        ("container", row(("crashed", "worker_exited", 1)), "ended as"),
        ("container", row(("crashed", "spawn_timeout", None)), "ended as"),
        ("container", row(KILLED, oom_killed=True), "oom_killed"),
        ("container", row(KILLED, turn_codes=["timeout"]), "its turns"),
        ("container", row(KILLED, finished=100.0 + judge.MAX_END_SECONDS + 1), "after the kill"),
        ("daemon-kill", row(("crashed", "container_lost", None)), "ended as"),
        ("daemon-stop", row(("canceled", None, 0)), "ended as"),
        ("ingest", row(KILLED), "ended as"),
    ],
)
def test_wrong_end_is_told(kind: str, ended: dict[str, Any], word: str) -> None:
    found = judge.problems_of_end([strike(kind)], ended)

    assert len(found) == 1
    assert word in found[0]


def compare(**fields: Any) -> dict[str, Any]:
    written = [float(second) for second in range(40)]
    told = {"written": written, "kept": written[:30], "made": ["a", "b"], "stored": ["b", "a"], "died": 41.0}
    return judge.losses(**{**told, **fields})


def test_loss_is_the_age_of_the_oldest_lost_edit_at_the_death() -> None:
    found = compare()

    assert (found["lost_seconds"], found["lines"], found["lines_stored"]) == (11.0, 40, 30)
    assert judge.problems_of_losses(found, row(KILLED, lost_since=29.5)) == []


@pytest.mark.parametrize(
    ("fields", "lost_since", "word"),
    [
        ({"kept": []}, 0.0, "of edits"),
        ({"kept": [0.0, 5.0]}, 0.0, "not those"),
        ({"stored": ["a"]}, 29.0, "1 of 2 commits"),
        ({}, None, "does not say"),
        ({}, 35.0, "does not say"),
    ],
)
def test_loss_that_is_too_large_or_untold_is_a_problem(
    fields: dict[str, Any], lost_since: float | None, word: str
) -> None:
    found = judge.problems_of_losses(compare(**fields), row(KILLED, lost_since=lost_since))

    assert any(word in problem for problem in found)
