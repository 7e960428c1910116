"""Periodic entries: made when missing, the operator's from then on."""

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from orchestrator.celery import app
from orchestrator.schedule import ENTRIES, Entry, create_missing_entries

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_every_entry_exists_after_the_migrations():
    found = dict(PeriodicTask.objects.values_list("name", "task"))

    assert {entry.name: entry.task for entry in ENTRIES}.items() <= found.items()


def test_second_call_creates_nothing():
    assert create_missing_entries() == 0
    assert create_missing_entries() == 0


def test_edits_of_an_operator_are_never_overwritten():
    slower, _ = IntervalSchedule.objects.get_or_create(every=77, period=IntervalSchedule.MINUTES)
    PeriodicTask.objects.filter(name="sweep_projects").update(enabled=False, interval=slower)

    create_missing_entries()
    call_command("migrate", verbosity=0)

    entry = PeriodicTask.objects.get(name="sweep_projects")
    assert (entry.enabled, entry.interval.every) == (False, 77)


def test_deleted_entry_comes_back_alone():
    PeriodicTask.objects.filter(name="workspace_gc").delete()

    created = create_missing_entries()

    assert created == 1
    assert PeriodicTask.objects.get(name="workspace_gc").interval.every == 86_400


def test_tick_that_nobody_took_expires_before_it_piles_up():
    create_missing_entries([Entry(name="often", task="periodic.often", every_seconds=5)])

    assert PeriodicTask.objects.get(name="often").expire_seconds == 10


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_names_a_task_that_runs_on_the_periodic_queue(entry):
    app.loader.import_default_modules()

    route = app.amqp.router.route({}, entry.task)

    assert entry.task.startswith("periodic.")
    assert route["queue"].name == "periodic"
