"""How evidence is judged: each ground once, what is not known, and the edges of silence."""

from typing import Any

import pytest

from apps.workers import liveness
from apps.workers.liveness import SILENCE_SECONDS, Evidence, Liveness
from apps.workers.models import Ground, Verdict
from apps.workers.runtime.base import Phase as ContainerPhase
from worker_image.contract import AgentSigns, Phase

pytestmark = pytest.mark.unit

LONG = SILENCE_SECONDS + 5
RECENT = {"output_age": 3.0, "event_age": 4.0, "traffic_age": 2.0, "cpu_age": 5.0}
OLD = {"output_age": LONG, "event_age": LONG, "traffic_age": LONG, "cpu_age": LONG}
TOOL = {"tools": 2, "tool": "pytest", "tool_age": 250.0, "youngest_tool_age": 250.0}


def _evidence(**changes: Any) -> Evidence:
    usual = {"status": "running", "container": ContainerPhase.RUNNING, "word_seconds": 1.0, "is_asked": True}
    return Evidence(**{**usual, "phase": Phase.RUNNING, "had_turn": True, **changes})


def _running(**signs: Any) -> Liveness:
    return liveness.judge(_evidence(signs=AgentSigns(**{"seconds": 300.0, **signs})))


@pytest.mark.parametrize(
    ("changes", "verdict", "ground"),
    [
        ({"status": "pending", "container": None, "word_seconds": None}, "starting", "no_place"),
        ({"status": "building", "container": None, "word_seconds": None}, "starting", "no_image"),
        ({"status": "starting", "word_seconds": None}, "starting", "no_word"),
        ({"phase": Phase.IDLE}, "starting", "turn_on_its_way"),
        ({"phase": Phase.IDLE, "is_asked": False, "had_turn": False}, "starting", "no_turn"),
        ({"phase": Phase.PREPARING}, "starting", "preparing"),
        ({"phase": Phase.UPLOADING}, "tool_running", "uploading"),
        ({"phase": Phase.STOPPING}, "tool_running", "stopping"),
        ({"phase": Phase.IDLE, "is_asked": False}, "waiting_human", "between_turns"),
        ({"phase": Phase.IDLE, "is_asked": False, "is_talker": True}, "waiting_human", "person"),
        ({"status": "paused", "word_seconds": 9_000.0}, "waiting_human", "paused"),
        ({"container": ContainerPhase.PAUSED, "word_seconds": 9_000.0}, "waiting_human", "paused"),
        ({"signs": None}, "thinking", "no_signs_known"),
        ({"word_seconds": LONG}, "stalled", "no_heartbeat"),
        ({"container": ContainerPhase.EXITED}, "dead", "exited"),
        ({"container": ContainerPhase.UNKNOWN}, "dead", "lost"),
        ({"container": ContainerPhase.EXITED, "oom_killed": True}, "dead", "out_of_memory"),
        ({"container": None, "is_removed": True}, "dead", "exited"),
        ({"status": "succeeded", "container": None}, "dead", "finished"),
        ({"status": "canceled", "container": None}, "dead", "canceled"),
        ({"status": "failed", "container": None}, "dead", "failed"),
        ({"status": "crashed", "container": None}, "dead", "exited"),
    ],
)
def test_verdict_outside_of_a_run_follows_from_row_container_and_phase(
    changes: dict[str, Any], verdict: str, ground: str
) -> None:
    found = liveness.judge(_evidence(**changes))

    assert (found.verdict, found.ground) == (verdict, ground)


@pytest.mark.parametrize(
    ("signs", "verdict", "ground"),
    [
        (RECENT, "thinking", "traffic"),
        ({**OLD, "cpu_age": 1.0}, "thinking", "cpu"),
        ({**OLD, "file_age": 30.0}, "thinking", "files"),
        ({**OLD, "output_age": 0.0}, "thinking", "output"),
        ({**OLD, "event_age": 0.0}, "thinking", "transcript"),
        ({"seconds": 2.0, "cpu_age": 0.0, "output_age": 0.0}, "starting", "agent_starts"),
        ({"seconds": 30.0, "cpu_age": 25.0}, "starting", "agent_starts"),
        ({"seconds": 30.0, "cpu_age": 25.0, "output_age": 20.0}, "thinking", "output"),
        (OLD, "stalled", "silence"),
        ({}, "stalled", "never_spoke"),
        ({**OLD, **TOOL, "is_frozen": True}, "stalled", "frozen"),
        ({**OLD, **TOOL}, "tool_running", "tool"),
        ({**OLD, **TOOL, "is_call_open": True}, "tool_running", "tool"),
        ({**OLD, **TOOL, "is_call_open": True, "is_terminal_read": True}, "waiting_human", "terminal"),
        ({**RECENT, **TOOL, "is_terminal_read": True}, "tool_running", "tool"),
        ({**OLD, **TOOL, "is_call_open": False}, "stalled", "silence"),
        ({**OLD, **TOOL, "is_call_open": False, "youngest_tool_age": 3.0}, "tool_running", "tool"),
        ({**RECENT, **TOOL, "is_call_open": False}, "thinking", "traffic"),
        ({**OLD, "is_call_open": True}, "stalled", "silence"),
        ({**RECENT, "is_alive": False}, "dead", "agent_gone"),
    ],
)
def test_verdict_during_a_run_follows_from_the_agents_signs(
    signs: dict[str, Any], verdict: str, ground: str
) -> None:
    found = _running(**signs)

    assert (found.verdict, found.ground) == (verdict, ground)


def test_program_is_named_that_the_agent_waits_for() -> None:
    found = _running(**TOOL)

    assert found.detail == "pytest"


@pytest.mark.parametrize(("later", "verdict"), [(9.0, Verdict.THINKING), (11.0, Verdict.STALLED)])
def test_silence_goes_on_after_the_last_heartbeat(later: float, verdict: Verdict) -> None:
    signs = AgentSigns(seconds=300.0, output_age=SILENCE_SECONDS - 10)

    found = liveness.judge(_evidence(signs=signs, word_seconds=later))

    assert found.verdict is verdict


def test_missing_heartbeat_is_no_proof_that_ends_a_turn() -> None:
    found = liveness.judge(_evidence(word_seconds=LONG))

    assert found.verdict is Verdict.STALLED
    assert found.ground is Ground.NO_HEARTBEAT
    assert found.ground not in liveness.PROVEN
