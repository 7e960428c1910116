"""The consumer in a real Celery process: it starts by queue, survives kills, and stops quickly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection

from apps.units.spec import UnitSpec
from apps.workers.composition import get_units
from apps.workers.consumer_step import Lifeline
from apps.workers.models import TurnStatus, Worker, WorkerEvent
from tests.apps.workers.conftest import Harness
from tests.apps.workers.test_consumer import progress
from tests.factories import make_turn

ROOT = Path(__file__).resolve().parents[3]

Start = Callable[..., "subprocess.Popen[bytes]"]


def wait_until(condition: Callable[[], bool], *, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Celery worker of the real application on the test database."""
    processes: list[subprocess.Popen[bytes]] = []
    database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(database),
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings.base",
        "LOG_FORMAT": "console",
    }

    def run(*, queue: str = "ingest", log: str = "celery") -> "subprocess.Popen[bytes]":
        words = ["-Q", queue, "--pool", "threads", "--concurrency", "2"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with (tmp_path / log).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "orchestrator", "worker", *words, *quiet],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_or_doubled_when_the_process_is_killed(
    admitted: Callable[..., Worker], harness: Harness, start: Start
) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    first = start()
    harness.say(turn.worker, progress(turn), seq=1)
    wait_until(lambda: WorkerEvent.objects.exists())
    for seq in range(2, 1_501):
        harness.say(turn.worker, progress(turn), seq=seq)
        if seq == 750:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()

    second = start(log="second")
    wait_until(lambda: harness.length(turn.worker) == 0)

    assert sorted(WorkerEvent.objects.values_list("seq", flat=True)) == list(range(1, 1_501))
    began = time.monotonic()
    second.terminate()
    assert second.wait(timeout=20) == 0
    assert time.monotonic() - began < 8


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_worker_of_another_queue_consumes_no_results(
    admitted: Callable[..., Worker], harness: Harness, start: Start, tmp_path: Path
) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    harness.say(turn.worker, progress(turn), seq=1)

    start(queue="periodic")
    wait_until(lambda: b"ready." in (tmp_path / "celery").read_bytes())
    time.sleep(1.5)

    assert harness.length(turn.worker) == 1


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
def test_end_of_a_unit_becomes_the_celery_task_it_names(start: Start, broker: redis.Redis) -> None:
    units, name = get_units(), f"watched-{uuid4()}"
    spec = UnitSpec(
        name=name,
        argv=("true",),
        timeout_seconds=30,
        on_exit=("workers.reconcile_worker", {"worker_id": str(uuid4())}),
    )
    units.start(spec)

    start()
    wait_until(lambda: broker.llen("workers") == 1)

    units.remove(name)
    assert "workers.reconcile_worker" in str(broker.lrange("workers", 0, -1))


@pytest.mark.unit
def test_death_of_the_thread_ends_the_process() -> None:
    gave_up: list[bool] = []

    def work(_stop: object) -> None:
        raise RuntimeError("no way on")

    lifeline = Lifeline("consumer", work, give_up=lambda: gave_up.append(True))
    lifeline.start()

    wait_until(lambda: bool(gave_up), seconds=5)
    assert gave_up == [True]


@pytest.mark.unit
def test_requested_end_of_the_thread_is_no_death() -> None:
    gave_up: list[bool] = []
    lifeline = Lifeline("consumer", lambda stop: bool(stop.wait()), give_up=lambda: gave_up.append(True))
    lifeline.start()

    lifeline.stop()

    assert gave_up == []
