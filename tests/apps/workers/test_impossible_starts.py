"""Starts that cannot succeed: the row ends with a typed failure, none is lost and nobody waits for ever."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.workers.composition import Hands
from apps.workers.models import Worker, WorkerStatus
from apps.workers.reconciler import reconcile_worker
from apps.workers.runtime.base import (
    ContainerRefused,
    ContainerSpec,
    ImageMissing,
    RuntimeFull,
    RuntimeUnavailable,
)
from tests.factories import make_turn, make_worker
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Refusing(FakeRuntime):
    """Refuses every start in one way."""

    def __init__(self, refusal: Callable[[], Exception]) -> None:
        super().__init__()
        self.refusal = refusal
        self.attempts = 0

    def start(self, spec: ContainerSpec) -> None:
        self.attempts += 1
        raise self.refusal()


def settle(worker: Worker, hands: Hands) -> int:
    """Step as Celery does until the row is final; returns how often it had to wait."""
    waits = 0
    for _ in range(20):
        try:
            reconcile_worker(worker_id=worker.pk, hands=hands)
        except RuntimeUnavailable:
            waits += 1
            Worker.objects.filter(pk=worker.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
        worker.refresh_from_db()
        if worker.status in Worker.final_statuses():
            break
    return waits


@pytest.mark.parametrize(
    ("refusal", "code", "waits"),
    [
        (lambda: ContainerRefused("taken", code="container_name_taken"), "container_name_taken", 0),
        (lambda: ImageMissing(details={"image": "gone"}), "image_missing", 0),
        (lambda: RuntimeFull("no space left on device"), "spawn_timeout", 1),
        (lambda: RuntimeUnavailable("down"), "spawn_timeout", 1),
    ],
    ids=["name taken by a stranger", "no image", "full disk", "daemon down"],
)
def test_worker_that_cannot_be_started_ends_with_its_turn(
    hands: Hands, refusal: Callable[[], Exception], code: str, waits: int
) -> None:
    runtime = Refusing(refusal)
    worker = make_worker(status=WorkerStatus.STARTING, deadline_at=timezone.now() + timedelta(seconds=60))
    turn = make_turn(worker=worker)

    waited = settle(worker, replace(hands, runtime=runtime))

    turn.refresh_from_db()
    assert worker.failure is not None
    assert (worker.failure["code"], waited) == (code, waits)
    assert worker.status in {WorkerStatus.FAILED, WorkerStatus.CRASHED}
    assert turn.failure is not None
    assert turn.failure["code"] == code
    assert runtime.attempts == 1


@pytest.mark.parametrize(
    ("refusal", "code", "said"),
    [
        (RuntimeFull, "runtime_disk_full", "no space left on device"),
        (RuntimeUnavailable, "runtime_unavailable", "the daemon is down"),
    ],
)
def test_late_start_says_what_the_runtime_said_last(
    hands: Hands, refusal: type[RuntimeUnavailable], code: str, said: str
) -> None:
    worker = make_worker(status=WorkerStatus.STARTING, deadline_at=timezone.now() + timedelta(seconds=60))

    settle(worker, replace(hands, runtime=Refusing(lambda: refusal(said))))

    assert worker.failure is not None
    assert worker.failure["details"]["cause"] == {"code": code, "message": said}
    assert said in worker.failure["message"]


def test_daemon_that_was_down_until_the_deadline_is_the_cause(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.STARTING, deadline_at=timezone.now() - timedelta(seconds=1))
    runtime.is_down = True
    with pytest.raises(RuntimeUnavailable):
        reconcile_worker(worker_id=worker.pk, hands=hands)
    runtime.is_down = False

    settle(worker, hands)

    assert worker.failure is not None
    assert worker.failure["code"] == "spawn_timeout"
    assert worker.failure["details"]["cause"]["code"] == "runtime_unavailable"
