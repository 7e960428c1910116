"""Where a worker stands in the line, and how long it may take (seed J)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.workers import queueing, selectors
from apps.workers.models import WorkerStatus
from tests.factories import make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def ended(seconds: float) -> None:
    now = timezone.now()
    make_worker(
        status=WorkerStatus.SUCCEEDED,
        removed_at=now,
        started_at=now - timedelta(seconds=seconds),
        finished_at=now,
    )


def test_those_who_wait_stand_in_the_order_of_their_requests(settings: Any) -> None:
    settings.WORKERS_MAX_CONCURRENT = 2
    for _ in range(2):
        make_worker(started_at=timezone.now())
    waiting = [make_worker(status=WorkerStatus.PENDING) for _ in range(3)]
    make_worker(status=WorkerStatus.PENDING, released_at=timezone.now())

    places = [selectors.get_queue_place(worker_id=worker.pk) for worker in waiting]

    assert [place.position for place in places if place] == [1, 2, 3]
    assert {(place.length, place.running, place.limit) for place in places if place} == {(3, 2, 2)}
    assert selectors.get_queue_place(worker_id=make_worker().pk) is None


def test_wait_is_estimated_from_how_long_workers_took(settings: Any) -> None:
    settings.WORKERS_MAX_CONCURRENT = 1
    for seconds in (80, 100, 120):
        ended(seconds)
    make_worker(started_at=timezone.now() - timedelta(seconds=40))
    first, second = (make_worker(status=WorkerStatus.PENDING) for _ in range(2))

    line = queueing.line()

    assert line[first.pk].estimated_wait_seconds == pytest.approx(60, abs=5)
    assert line[second.pk].estimated_wait_seconds == pytest.approx(160, abs=5)


@pytest.mark.parametrize(
    ("index", "ages", "limit", "usual", "expected"),
    [
        (0, [], 2, None, 0.0),
        (0, [10.0, 20.0], 2, None, None),
        (0, [10.0, 20.0], 2, 100.0, 80.0),
        (1, [10.0, 20.0], 2, 100.0, 90.0),
        (2, [10.0, 20.0], 2, 100.0, 180.0),
        (0, [500.0], 1, 100.0, 0.0),
        (1, [10.0], 2, 100.0, 90.0),
        (0, [], 0, 100.0, None),
    ],
)
def test_estimate_goes_by_places_in_the_order_in_which_they_become_free(
    index: int, ages: list[float], limit: int, usual: float | None, expected: float | None
) -> None:
    found = queueing.estimate(index, ages=ages, limit=limit, usual_seconds=usual)

    assert found == expected


def test_worker_of_a_task_is_found_in_the_line(settings: Any) -> None:
    worker = make_worker(status=WorkerStatus.PENDING, task_id=make_worker().pk)

    place = selectors.get_queue_place_of_task(task_id=worker.task_id)

    assert place is not None
    assert (place.position, place.estimated_wait_seconds) == (1, 0.0)
    assert selectors.get_queue_place_of_task(task_id=worker.pk) is None
