"""What a run of a periodic job leaves behind, and what keeps two of them apart."""

import threading
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.utils import timezone

from apps.errors import Unavailable
from apps.periodic.models import Outcome, PeriodicJob
from apps.periodic.recording import MAX_ERRORS, Run, recorded, run_job

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def job(name: str = "count_sheep") -> PeriodicJob:
    return PeriodicJob.objects.get(name=name)


def test_run_leaves_when_how_long_and_what():
    def body(run: Run) -> None:
        run.each(["a", "b"], str.upper, name="sheep")
        run.each([], str.upper, name="goats")

    ran = run_job("count_sheep", body)

    assert ran
    row = job()
    assert (row.last_outcome, row.last_counts, row.runs) == (Outcome.SUCCEEDED, {"sheep": 2, "goats": 0}, 1)
    assert row.last_started_at <= row.last_finished_at
    assert row.last_seconds >= 0


def test_job_that_never_ran_has_no_figures():
    row = PeriodicJob.objects.create(name="count_sheep")

    assert (row.last_counts, row.last_started_at, row.last_seconds) == (None, None, None)


def test_one_bad_item_does_not_stop_the_rest_and_its_words_stay_out():
    seen: list[int] = []

    def look(number: int) -> None:
        if number == 2:
            raise ValueError("password=hunter2")
        if number == 3:
            raise Unavailable("The provider is away.")
        seen.append(number)

    run_job("count_sheep", lambda run: run.each([1, 2, 3, 4], look, name="sheep"))

    row = job()
    assert seen == [1, 4]
    assert (row.last_outcome, row.last_counts, row.failures_in_a_row) == (
        Outcome.PARTLY,
        {"sheep": 2, "failed": 2},
        1,
    )
    assert row.last_errors == [
        {"item": "sheep 2", "error": "ValueError"},
        {"item": "sheep 3", "error": "unavailable: The provider is away."},
    ]


def test_part_that_cannot_be_listed_does_not_stop_the_next_part():
    def listing():
        yield 1
        raise Unavailable()

    seen: list[int] = []

    def body(run: Run) -> None:
        run.each(listing(), seen.append, name="sheep")
        run.each([7], seen.append, name="goats")

    run_job("count_sheep", body)

    assert seen == [1, 7]
    assert job().last_counts == {"sheep": 1, "goats": 1, "failed": 1}


def test_errors_are_bounded():
    def look(number: int) -> None:
        raise Unavailable("x" * 1_000)

    run_job("count_sheep", lambda run: run.each(range(1_000), look, name="sheep"))

    row = job()
    assert (len(row.last_errors), row.last_counts["failed"]) == (MAX_ERRORS, 1_000)
    assert len(row.last_errors[0]["error"]) <= 300


def test_job_that_breaks_is_recorded_and_seen_by_celery():
    def body(run: Run) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        run_job("count_sheep", body)

    assert (job().last_outcome, job().last_errors) == (
        Outcome.CRASHED,
        [{"item": "", "error": "RuntimeError"}],
    )


def test_time_limit_is_no_items_business():
    def look(number: int) -> None:
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        run_job("count_sheep", lambda run: run.each([1, 2], look, name="sheep"))

    assert job().last_outcome == Outcome.CRASHED


def test_errors_stay_to_be_read_after_a_run_without_any():
    run_job("count_sheep", lambda run: run.fail("one", "is lame"))
    run_job("count_sheep", lambda _: None)

    row = job()

    assert (row.last_outcome, row.failures_in_a_row) == (Outcome.SUCCEEDED, 0)
    assert row.last_errors == [{"item": "one", "error": "is lame"}]


def test_ticks_that_piled_up_run_once():
    ran: list[bool] = []

    @recorded("count_sheep", pause_seconds=60)
    def count_sheep(run: Run) -> None:
        ran.append(True)

    for _ in range(5):
        count_sheep()

    assert (len(ran), job().runs, job().overlaps) == (1, 1, 4)


def test_moment_in_the_future_does_not_silence_a_job():
    PeriodicJob.objects.create(name="count_sheep", last_started_at=timezone.now() + timedelta(hours=3))

    ran = run_job("count_sheep", lambda _: None, pause_seconds=60)

    assert ran


def test_death_in_a_run_is_told_by_the_next_one():
    began = timezone.now() - timedelta(minutes=5)
    PeriodicJob.objects.create(name="count_sheep", last_started_at=began, last_finished_at=None)

    run_job("count_sheep", lambda _: None)

    assert "died" in job().last_errors[0]["error"]
    assert job().last_outcome == Outcome.SUCCEEDED


def test_decorated_function_keeps_its_name_and_takes_nothing():
    @recorded("count_sheep")
    def count_sheep(run: Run) -> None:
        """Count them."""

    assert (count_sheep.__name__, count_sheep.__doc__) == ("count_sheep", "Count them.")
    assert count_sheep() is None


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_are_one():
    entered, leave = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow(run: Run) -> None:
        ran.append("first")
        entered.set()
        leave.wait(20)

    def first() -> None:
        run_job("count_sheep", slow)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(20)
    second = run_job("count_sheep", lambda _: ran.append("second"))
    leave.set()
    thread.join(20)

    assert (second, ran, job().overlaps) == (False, ["first"], 1)
