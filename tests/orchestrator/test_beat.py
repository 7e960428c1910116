"""Of several beats on one database one sends; another takes over when it is gone."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from apps.lease import Lease
from orchestrator import beat
from orchestrator.celery import app

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]


class Scheduler(beat.LeadingScheduler):
    """Keeps what it would send."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        super().__init__(app, max_interval=1, lazy=True)
        self.setup_schedule()

    def apply_async(self, entry: Any, *_: Any, **__: Any) -> None:
        self.sent.append(entry.name)

    def tick_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick()
            time.sleep(0.01)


@pytest.fixture
def schedulers() -> Iterator[list[Scheduler]]:
    PeriodicTask.objects.all().delete()
    interval, _ = IntervalSchedule.objects.get_or_create(every=3_600, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.create(
        name="often",
        task="periodic.often",
        interval=interval,
        last_run_at=timezone.now() - timedelta(hours=2),
    )
    PeriodicTasks.update_changed()
    made = [Scheduler(), Scheduler()]
    yield made
    for scheduler in made:
        scheduler.close()


def test_two_schedulers_send_a_due_entry_once(schedulers):
    for _ in range(30):
        for scheduler in schedulers:
            scheduler.tick()

    assert [scheduler.sent.count("often") for scheduler in schedulers] == [1, 0]


def test_standby_takes_over_at_the_leaders_end_without_repeating_what_was_sent(schedulers):
    leader, standby = schedulers
    leader.tick_for(0.2)
    standby.tick_for(0.1)

    leader.close()
    standby.tick_for(0.3)

    assert leader.sent.count("often") == 1
    assert standby.lease.is_held()
    assert standby.sent.count("often") == 0


def test_leader_whose_session_was_ended_stands_by(schedulers):
    leader, standby = schedulers
    leader.tick_for(0.1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'beat' AND datname = current_database()"
        )

    standby.tick()
    waits = leader.tick()

    assert (standby.lease.is_held(), waits) == (True, beat.STANDBY_SECONDS)


def test_beat_without_a_database_waits(schedulers, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")

    waits = schedulers[0].tick()

    assert (waits, schedulers[0].sent) == (beat.STANDBY_SECONDS, [])


def test_holder_that_is_silent_for_too_long_loses_its_lease():
    holder, other = Lease("silent", idle_seconds=1), Lease("silent", idle_seconds=1)
    held = holder.try_take()

    until = time.monotonic() + 20
    while not other.try_take() and time.monotonic() < until:
        time.sleep(0.1)

    assert (held, other.is_held(), holder.is_held()) == (True, True, False)
    other.release()
