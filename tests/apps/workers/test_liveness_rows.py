"""Verdicts on rows: written when they are news, acted upon when they are proven and have lasted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from apps.workers import liveness_rows, liveness_words
from apps.workers.composition import Hands
from apps.workers.models import Ground, TurnStatus, Verdict, Worker, WorkerStatus
from apps.workers.runtime.base import ContainerState
from apps.workers.runtime.base import Phase as ContainerPhase
from tests.apps.workers.conftest import settle, step
from tests.factories import make_turn, make_worker
from tests.fakes_runtime import FakeRuntime
from worker_image.contract import AgentSigns, Heartbeat, Phase

pytestmark = [pytest.mark.service, pytest.mark.django_db]

SILENT = AgentSigns(seconds=400, output_age=200, event_age=200, traffic_age=200, cpu_age=200)
BUSY = AgentSigns(seconds=400, output_age=1, tools=1, tool="pytest", tool_age=350, youngest_tool_age=350)


def _words(signs: AgentSigns | None, phase: Phase = Phase.RUNNING) -> dict[str, Any]:
    heartbeat = Heartbeat(phase=phase, agent=signs)
    return {"heartbeat": heartbeat.model_dump(mode="json"), "heartbeat_at": timezone.now()}


def _worker(signs: AgentSigns | None, **fields: Any) -> Worker:
    worker = make_worker(config={"auth_mode": "none"}, **{**_words(signs), **fields})
    make_turn(worker=worker, status=TurnStatus.RUNNING, sent_at=timezone.now())
    return worker


def _running(worker: Worker, runtime: FakeRuntime, hands: Hands) -> None:
    runtime.start(hands.describe(worker))
    hands.channel.admit(worker.pk, worker.password_sha256)


def test_verdict_is_written_with_its_ground_and_since_when() -> None:
    worker, now = _worker(BUSY), timezone.now()

    liveness_rows.note(worker, ContainerState(name="x", phase=ContainerPhase.RUNNING), now)

    row = Worker.objects.get(pk=worker.pk)
    assert (row.verdict, row.verdict_ground, row.verdict_detail) == ("tool_running", "tool", "pytest")
    assert row.verdict_since == now


def test_verdict_that_stays_keeps_since_when_it_is_so() -> None:
    worker, first = _worker(SILENT), timezone.now()
    state = ContainerState(name="x", phase=ContainerPhase.RUNNING)
    liveness_rows.note(worker, state, first)

    liveness_rows.note(worker, state, first + timedelta(seconds=5))

    assert Worker.objects.get(pk=worker.pk).verdict_since == first


def test_heartbeat_of_a_wrapper_from_before_the_signs_is_judged_mildly() -> None:
    worker = _worker(None)
    Worker.objects.filter(pk=worker.pk).update(heartbeat={"phase": "running", "output_bytes": 3})
    worker.refresh_from_db()
    state = ContainerState(name="x", phase=ContainerPhase.RUNNING)

    found = liveness_rows.note(worker, state, timezone.now())

    assert found.ground is Ground.NO_SIGNS_KNOWN


def test_worker_that_was_just_woken_is_not_blamed_for_its_sleep() -> None:
    slept = timezone.now() - timedelta(hours=2)
    worker = _worker(None, **{**_words(None, Phase.IDLE), "heartbeat_at": slept})
    state = ContainerState(name="x", phase=ContainerPhase.RUNNING)

    found = liveness_rows.note(worker, state, timezone.now())

    assert found.verdict is Verdict.STARTING
    assert found.ground is Ground.TURN_ON_ITS_WAY


def test_look_at_a_living_container_judges_it(runtime: FakeRuntime, hands: Hands) -> None:
    worker = _worker(BUSY)
    _running(worker, runtime, hands)

    step(worker, hands)

    assert worker.verdict == Verdict.TOOL_RUNNING


def test_stall_that_does_not_last_ends_nothing(runtime: FakeRuntime, hands: Hands) -> None:
    worker = _worker(SILENT)
    _running(worker, runtime, hands)

    step(worker, hands)

    assert worker.verdict == Verdict.STALLED
    assert worker.stop_failure is None


def test_stall_that_lasts_ends_the_turn_and_the_worker_with_a_typed_failure(
    runtime: FakeRuntime, hands: Hands
) -> None:
    hands = replace(hands, limits=replace(hands.limits, stall_seconds=60))
    since = timezone.now() - timedelta(seconds=61)
    stalled = {"verdict": Verdict.STALLED, "verdict_ground": Ground.SILENCE, "verdict_since": since}
    worker = _worker(SILENT, **stalled)
    _running(worker, runtime, hands)

    step(worker, hands)

    turn = worker.turns.get()
    assert turn.status == TurnStatus.CRASHED
    assert turn.failure["code"] == "agent_stalled"
    assert turn.failure["kind"] == "platform"
    assert turn.failure["retryable"] is True
    assert worker.stop_failure["code"] == "agent_stalled"


def test_silent_wrapper_alone_ends_nothing(runtime: FakeRuntime, hands: Hands) -> None:
    hands = replace(hands, limits=replace(hands.limits, stall_seconds=60))
    since = timezone.now() - timedelta(seconds=600)
    old = {"verdict": Verdict.STALLED, "verdict_ground": Ground.NO_HEARTBEAT, "verdict_since": since}
    worker = _worker(BUSY, heartbeat_at=since, status_changed_at=since, **old)
    _running(worker, runtime, hands)

    step(worker, hands)

    assert worker.verdict_ground == Ground.NO_HEARTBEAT
    assert worker.stop_failure is None


def test_ended_container_is_dead_at_once(runtime: FakeRuntime, hands: Hands) -> None:
    worker = _worker(BUSY)
    _running(worker, runtime, hands)
    runtime.finish(worker.container_name, exit_code=137)

    step(worker, hands)

    assert worker.verdict == Verdict.DEAD


def test_worker_that_ended_is_dead_with_its_reason(runtime: FakeRuntime, hands: Hands) -> None:
    worker = make_worker(status=WorkerStatus.CANCELING, config={"auth_mode": "none"})

    settle(worker, hands)

    assert (worker.verdict, worker.verdict_ground) == (Verdict.DEAD, Ground.CANCELED)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Running a tool: a program works for it (pytest)"),
        ("ru", "Работает инструмент: для него работает программа (pytest)"),
    ],
)
def test_verdict_is_told_in_the_readers_language(language: str, text: str) -> None:
    worker = _worker(BUSY, verdict="tool_running", verdict_ground="tool", verdict_detail="pytest")

    with translation.override(language):
        told = liveness_words.text_of(worker)

    assert told == text


def test_line_of_a_task_is_of_the_worker_at_work() -> None:
    now = timezone.now()
    worker = _worker(BUSY, task_id="5b0ff4a8-3a4e-4b3e-9a37-0f6f3f1f7a11", verdict=Verdict.THINKING)
    Worker.objects.filter(pk=worker.pk).update(verdict_since=now - timedelta(seconds=40))
    worker.refresh_from_db()

    line = liveness_words.find_line(task_id=worker.task_id, now=now)

    assert line is not None
    assert (line.verdict, line.seconds) == ("thinking", 40.0)


def test_worker_whose_turn_is_over_is_no_line_of_its_task() -> None:
    task_id = "5b0ff4a8-3a4e-4b3e-9a37-0f6f3f1f7a12"
    _worker(BUSY, task_id=task_id, verdict=Verdict.WAITING_HUMAN, verdict_ground=Ground.BETWEEN_TURNS)

    line = liveness_words.find_line(task_id=task_id, now=timezone.now())

    assert line is None
