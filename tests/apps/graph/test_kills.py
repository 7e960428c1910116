"""A driver that dies at any statement loses nothing and repeats nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, transaction

from apps.graph import executor, services
from apps.graph.models import Run, RunStatus
from apps.graph.starting import lock_task
from apps.infra.models import ServiceDeployment
from apps.projects.models import Dispatch, MergeRequest, Task, TaskEvent, TaskStatus
from apps.workers.models import Turn, Verification, Worker
from tests.apps.graph.test_deploy_workflow import Site, make_ssh
from tests.apps.graph.test_executor import HAPPY_EVENTS
from tests.apps.graph.world import World
from tests.factories import make_server

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("memory", "broker"),
]

DRIVER = """
import sys, uuid, django
import orchestrator.celery
django.setup()
from apps.graph import executor
executor.advance(run_id=uuid.UUID(sys.argv[1]))
"""


class Killed(BaseException):
    """The process is no more."""


class Death:
    """Dies at one statement: before it reaches the server, or after its effect and before its answer."""

    def __init__(self, *, at: int, after: bool) -> None:
        self.at, self.after, self.seen = at, after, 0

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        self.seen += 1
        if self.seen == self.at and not self.after:
            raise Killed
        answer = execute(sql, params, many, context)
        if self.seen == self.at:
            raise Killed
        return answer


@contextmanager
def dying(death: Death) -> Iterator[None]:
    """Run a block that dies as told; a dead process's session, and with it its lock, is gone."""
    try:
        with connection.execute_wrapper(death):
            yield
    except Killed:
        raw = connection.connection
        connection.needs_rollback = False
        if raw is not None:
            raw.close()
        connection.close()


def run_gauntlet(run_id: UUID, *, stride: int) -> int:
    """Advance a run, dying at one statement after the other, until it gets through alive."""
    for at in range(1, 400, stride):
        death = Death(at=at, after=bool(at % 2))
        with dying(death):
            executor.advance(run_id=run_id)
        # The bound on deaths in a row has a test of its own.
        Run.objects.filter(pk=run_id).update(troubles=0)
        if death.seen < at:
            return at
    raise AssertionError("The advance never got through")


def test_deaths_at_the_statements_of_a_whole_run_lose_and_repeat_nothing() -> None:
    make_server()
    world = World(deploy_after=True)
    world.start()
    deaths = 0

    while world.run.status not in Run.final_statuses():
        deaths += run_gauntlet(world.run.pk, stride=1)
        if world.run.status == RunStatus.WAITING:
            world.move()

    assert deaths > 100
    assert world.task.reload().status == TaskStatus.SUCCEEDED
    assert world.events() == HAPPY_EVENTS
    steps = list(world.run.steps.values_list("seq", flat=True))
    assert steps == list(range(1, 15))
    for model in (Worker, Turn, Verification, MergeRequest):
        assert model.objects.count() == 1
    assert Task.objects.filter(follows=world.task).count() == 1
    assert Run.objects.count() == 2


def test_deaths_at_the_statements_of_a_deployment_at_the_git_host_start_and_release_it_once() -> None:
    make_ssh()
    site = Site()
    deaths = 0

    while site.run.status not in Run.final_statuses():
        deaths += run_gauntlet(site.run.pk, stride=1)
        if site.run.status == RunStatus.WAITING:
            site.move()

    assert deaths > 50
    assert site.task.reload().status == TaskStatus.SUCCEEDED
    beginning = ["acknowledged", "port_allocated", "workflow_started", "workflow_finished"]
    assert site.events() == [*beginning, "smoke_passed", "deployed", "succeeded"]
    assert (Dispatch.objects.count(), ServiceDeployment.objects.count()) == (1, 1)


def test_deaths_during_a_cancel_still_end_it_once() -> None:
    world = World()
    world.start()
    world.play(until="verification")
    services.cancel_task(task_id=world.task.pk)

    run_gauntlet(world.run.pk, stride=1)
    world.end_canceled()
    run_gauntlet(world.run.pk, stride=1)

    assert world.run.status == RunStatus.CANCELED
    assert world.events().count("canceled") == 1


def test_a_driver_that_always_dies_crashes_the_run() -> None:
    world = World()
    world.start()

    for _ in range(executor.MAX_TROUBLES):
        # Late enough to be inside the drive, after its claim.
        with dying(Death(at=12, after=True)):
            world.advance()
    world.advance()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert (world.task.failure or {})["code"] == "run_stuck"


def driver_environment() -> dict[str, str]:
    known = connection.settings_dict
    password = quote(known["PASSWORD"], safe="")
    address = f"postgresql://{known['USER']}:{password}@{known['HOST']}:{known['PORT']}/{known['NAME']}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings.test",
        "DATABASE_URL": address,
    }


def wait_for_claim(run_id: UUID, *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if Run.objects.get(pk=run_id).status == RunStatus.RUNNING and is_somebody_blocked():
            return
        time.sleep(0.05)
    raise AssertionError("The driver never came into its drive")


def is_somebody_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_a_killed_process_is_taken_over_at_once_and_nothing_happens_twice() -> None:
    world = World()
    world.start()
    run_id, release, locked = world.run.pk, threading.Event(), threading.Event()

    def hold_the_task() -> None:
        # The driver's next line of the timeline waits for this lock: it is now in the midst of its drive.
        with transaction.atomic():
            lock_task(world.task.pk)
            locked.set()
            release.wait(90)
        connection.close()

    holder = threading.Thread(target=hold_the_task)
    holder.start()
    locked.wait(20)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(run_id)], env=driver_environment(), cwd=settings.BASE_DIR
    )
    try:
        wait_for_claim(run_id)
        driver.send_signal(signal.SIGKILL)
        driver.wait(20)
    finally:
        driver.kill()
        driver.wait(20)
        release.set()
        holder.join(30)
    time.sleep(0.2)
    world.play()

    assert world.run.status == RunStatus.SUCCEEDED
    assert world.events() == HAPPY_EVENTS
    assert Worker.objects.count() == Turn.objects.count() == 1
    assert not ServiceDeployment.objects.exists()


def test_two_drivers_at_once_are_one() -> None:
    world = World()
    world.start()
    run_id = world.run.pk
    barrier = threading.Barrier(4)

    def drive() -> None:
        barrier.wait(20)
        executor.advance(run_id=run_id)
        connection.close()

    while world.run.status not in Run.final_statuses():
        drivers = [threading.Thread(target=drive) for _ in range(4)]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join(60)
        if world.run.status == RunStatus.WAITING and world.waits_for:
            world.move()

    assert world.run.status == RunStatus.SUCCEEDED
    assert world.events() == HAPPY_EVENTS
    assert TaskEvent.objects.filter(task=world.task).count() == len(HAPPY_EVENTS)
    assert Worker.objects.count() == Turn.objects.count() == 1
