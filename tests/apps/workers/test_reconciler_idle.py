"""A Product Owner between two messages: pause (seed H), wake-up (seed I), its end."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.workers import services
from apps.workers.composition import Hands
from apps.workers.followups import FollowUp
from apps.workers.models import Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.reconciler_turns import reconcile_turn
from apps.workers.runtime.base import Phase, RuntimeUnavailable
from tests.apps.workers.conftest import LIMITS, MakeWorker, settle, step
from tests.factories import make_turn, make_worker
from tests.fakes_runtime import FakeRuntime
from worker_image.contract import input_stream

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def phase_of(worker: Worker, runtime: FakeRuntime) -> Phase | None:
    state = runtime.inspect(worker.container_name)
    return None if state is None else state.phase


def let_idle(worker: Worker, seconds: float) -> None:
    """Let the worker's last words be this long ago."""
    then = timezone.now() - timedelta(seconds=seconds)
    Worker.objects.filter(pk=worker.pk).update(created_at=then, started_at=then)
    Turn.objects.filter(worker=worker).update(created_at=then, finished_at=then)
    worker.refresh_from_db()


@pytest.fixture
def paused(running: MakeWorker, hands: Hands, runtime: FakeRuntime) -> Worker:
    worker = running(worker_type="po")
    let_idle(worker, LIMITS.pause_seconds + 1)
    step(worker, hands)
    return worker


def test_idle_po_worker_is_paused(paused: Worker, runtime: FakeRuntime) -> None:
    assert paused.status == WorkerStatus.PAUSED
    assert paused.paused_at is not None
    assert phase_of(paused, runtime) is Phase.PAUSED


def test_idle_deadline_is_longer_than_the_longest_turn() -> None:
    assert settings.WORKERS_PO_PAUSE_SECONDS > settings.WORKERS_TURN_TIMEOUT_SECONDS
    assert settings.WORKERS_PO_STOP_SECONDS > settings.WORKERS_PO_PAUSE_SECONDS


@pytest.mark.parametrize("seconds", [0, LIMITS.pause_seconds - 60])
def test_po_worker_is_not_paused_early(running: MakeWorker, hands: Hands, seconds: float) -> None:
    worker = running(worker_type="po")
    let_idle(worker, seconds)

    settle(worker, hands)

    assert worker.status == WorkerStatus.RUNNING


def test_po_worker_at_work_is_not_paused(running: MakeWorker, hands: Hands) -> None:
    worker = running(worker_type="po", deadline_at=timezone.now())
    make_turn(worker=worker, status=TurnStatus.RUNNING)
    let_idle(worker, LIMITS.pause_seconds + 1)

    settle(worker, hands)

    assert worker.status == WorkerStatus.RUNNING


def test_developer_is_never_paused(running: MakeWorker, hands: Hands) -> None:
    worker = running()
    let_idle(worker, LIMITS.pause_seconds + 1)

    settle(worker, hands)

    assert worker.status == WorkerStatus.RUNNING


def test_paused_worker_stays_so(paused: Worker, hands: Hands, runtime: FakeRuntime) -> None:
    Worker.objects.filter(pk=paused.pk).update(deadline_at=timezone.now())

    settle(paused, hands)

    assert paused.status == WorkerStatus.PAUSED
    assert [verb for verb, _ in runtime.calls].count("pause") == 1


def test_message_wakes_a_paused_worker(
    paused: Worker,
    hands: Hands,
    runtime: FakeRuntime,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as enqueued:
        turn_id = services.send_turn(
            idempotency_key="hello", worker_id=paused.pk, prompt="Hello", timeout_seconds=60
        )

    follow_ups = step(paused, hands)
    reconcile_turn(turn_id=turn_id, hands=hands)

    assert len(enqueued) == 2  # the worker, to be woken, and the turn
    assert follow_ups == [FollowUp(kind="turn", id=turn_id)]
    assert (paused.status, paused.paused_at) == (WorkerStatus.RUNNING, None)
    assert phase_of(paused, runtime) is Phase.RUNNING
    assert hands.channel.client.xlen(input_stream(str(paused.pk))) == 1


@pytest.mark.parametrize("lost", ["pause", "inspect"])
def test_pause_that_was_cut_off_is_finished(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, lost: str
) -> None:
    worker = running(worker_type="po")
    let_idle(worker, LIMITS.pause_seconds + 1)
    runtime.fails_after.add(lost)
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)

    settle(worker, hands)

    assert (worker.status, phase_of(worker, runtime)) == (WorkerStatus.PAUSED, Phase.PAUSED)


def test_wake_up_that_was_cut_off_is_finished(paused: Worker, hands: Hands, runtime: FakeRuntime) -> None:
    make_turn(worker=paused)
    runtime.fails_after.add("unpause")
    with pytest.raises(RuntimeUnavailable):
        step(paused, hands)

    settle(paused, hands)

    assert (paused.status, phase_of(paused, runtime)) == (WorkerStatus.RUNNING, Phase.RUNNING)


def test_container_that_somebody_paused_goes_on_for_a_message(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running(worker_type="po")
    make_turn(worker=worker)
    runtime.pause(worker.container_name)

    step(worker, hands)

    assert phase_of(worker, runtime) is Phase.RUNNING


def test_paused_worker_that_dies_is_a_crash(paused: Worker, hands: Hands, runtime: FakeRuntime) -> None:
    runtime.vanish(paused.container_name)

    settle(paused, hands)

    assert paused.failure is not None
    assert (paused.status, paused.failure["code"]) == (WorkerStatus.CRASHED, "container_lost")


def test_worker_without_a_message_for_a_day_ends_well(
    paused: Worker, hands: Hands, runtime: FakeRuntime
) -> None:
    let_idle(paused, LIMITS.stop_seconds + 1)

    settle(paused, hands)

    assert (paused.status, paused.failure) == (WorkerStatus.SUCCEEDED, None)
    assert phase_of(paused, runtime) is None


def test_paused_worker_gives_way_to_one_that_waits(
    paused: Worker, running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    running()
    waiting = make_worker(status=WorkerStatus.PENDING)

    follow_ups = step(waiting, hands)
    settle(paused, hands)
    step(waiting, hands)

    assert follow_ups == [FollowUp(kind="worker", id=paused.pk)]
    assert (paused.status, waiting.status) == (WorkerStatus.SUCCEEDED, WorkerStatus.STARTING)
