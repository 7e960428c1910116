"""When the whole stack stops, every worker hands in its work first, or its loss is written down."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from apps.workers import farewell
from apps.workers.composition import Hands
from apps.workers.models import TurnStatus, Worker, WorkerStatus
from tests.apps.workers.conftest import settle
from tests.factories import make_turn
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]
MakeWorker = Callable[..., Worker]


@pytest.fixture
def working(running: MakeWorker) -> MakeWorker:
    """Make a worker in the middle of a turn."""

    def make(**fields: Any) -> Worker:
        worker = running(workspace_name="workspaces/x", base_sha="1" * 40, branch="task/1-1", **fields)
        make_turn(worker=worker, status=TurnStatus.RUNNING)
        return worker

    return make


def test_workers_are_asked_and_their_ends_recorded_before_their_containers_go(
    working: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    workers = [working(), working()]

    parted = farewell.part(hands, seconds=5)

    assert parted == 2
    assert runtime.list_owned() == []
    for worker in workers:
        worker.refresh_from_db()
        assert ("ask_to_stop", worker.container_name) in runtime.calls
        assert (worker.exit_code, worker.removed_at is None) == (143, False)
        assert worker.stop_asked_at is not None


def test_the_next_start_concludes_a_parted_worker_and_another_may_do_the_rest(
    working: MakeWorker, hands: Hands
) -> None:
    worker = working()
    farewell.part(hands, seconds=5)

    settle(worker, hands)

    assert worker.status == WorkerStatus.FAILED
    assert (worker.failure["code"], worker.failure["retryable"]) == ("worker_stopped", True)


def test_a_worker_that_does_not_answer_does_not_hold_up_the_stop(
    working: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    working()
    runtime.ignores_sigterm = True
    began = time.monotonic()

    farewell.part(replace(hands, limits=replace(hands.limits, stop_grace_seconds=0.5)), seconds=5)

    assert time.monotonic() - began < 4
    assert runtime.list_owned() == []


def test_work_that_nobody_had_the_time_for_is_written_down_as_lost(working: MakeWorker, hands: Hands) -> None:
    worker = working()

    farewell.part(hands, seconds=0)

    worker.refresh_from_db()
    assert worker.work_lost_since is not None
    assert worker.removed_at is None


def test_containers_of_nobody_are_left_alone(hands: Hands) -> None:
    assert farewell.part(hands, seconds=5) == 0
