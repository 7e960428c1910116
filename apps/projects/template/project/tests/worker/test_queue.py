"""No job is lost, done too early or tried for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker import queue as queues
from worker.queue import Queue


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[Queue]:
    with Queue(tmp_path, now=clock) as queue:
        yield queue


def test_jobs_are_done_in_their_order_and_once(queue: Queue) -> None:
    first = queue.add("write", {"n": 1})
    second = queue.add("write", {"n": 2})

    claimed = [queue.claim(), queue.claim(), queue.claim()]

    assert [job and (job.id, job.payload) for job in claimed] == [
        (first, {"n": 1}),
        (second, {"n": 2}),
        None,
    ]


def test_delayed_job_waits(queue: Queue, clock: Clock) -> None:
    queue.add("write", delay_seconds=60)

    early = queue.claim()
    clock.now += 60
    late = queue.claim()

    assert early is None
    assert late is not None


def test_job_of_a_vanished_worker_is_taken_again(queue: Queue, clock: Clock) -> None:
    queue.add("write")
    lost = queue.claim()
    clock.now += queues.LEASE_SECONDS

    again = queue.claim()

    assert lost is not None
    assert again is not None
    assert (again.id, again.attempt) == (lost.id, 2)
    queue.fail(lost, "too late to say")
    queue.succeed(again)
    assert queue.count() == {"done": 1}


def test_failing_job_is_tried_with_growing_pauses_and_given_up(queue: Queue, clock: Clock) -> None:
    queue.add("write")
    pauses = []
    for attempt in range(1, queues.MAX_ATTEMPTS + 1):
        began = clock.now
        while (job := queue.claim()) is None:
            clock.now += 1
        pauses.append(clock.now - began)
        assert queue.fail(job, "no") is (attempt < queues.MAX_ATTEMPTS)

    assert pauses == [0, 10, 20, 40, 80]
    assert queue.count() == {"failed": 1}


def test_repeated_job_is_added_when_its_time_has_come(queue: Queue, clock: Clock) -> None:
    added = [queue.add_if_due("clean", every_seconds=60) for _ in range(2)]
    clock.now += 600
    later = [queue.add_if_due("clean", every_seconds=60) for _ in range(2)]

    assert (added, later) == ([True, False], [True, False])
    assert queue.count() == {"waiting": 2}


def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    with Queue(tmp_path) as before:
        before.add("write", {"text": "книга"})

    with Queue(tmp_path) as after:
        job = after.claim()

    assert job is not None
    assert job.payload == {"text": "книга"}


def test_done_jobs_are_forgotten_after_a_while(queue: Queue, clock: Clock) -> None:
    queue.add("write")
    job = queue.claim()
    assert job is not None
    queue.succeed(job)

    soon = queue.forget_done(older_than_seconds=60)
    clock.now += 61
    late = queue.forget_done(older_than_seconds=60)

    assert (soon, late) == (0, 1)
