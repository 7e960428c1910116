"""The worker does what is due, survives a failing job and ends in good order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import heartbeat
from worker import jobs, service
from worker.jobs import Job
from worker.queue import Queue


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path) as queue:
        yield queue


def _job(name: str, function: jobs.Function, every_seconds: float | None = None) -> dict[str, Job]:
    return {name: Job(name=name, function=function, every_seconds=every_seconds)}


def test_job_gets_its_payload(queue: Queue, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    queue.add("note", {"n": 1})

    there_was_one = service.do_next(queue, _job("note", seen.append), tmp_path)

    assert there_was_one
    assert seen == [{"n": 1}]
    assert queue.count() == {"done": 1}
    assert not service.do_next(queue, _job("note", seen.append), tmp_path)


def test_failing_job_does_not_stop_the_worker(queue: Queue, tmp_path: Path) -> None:
    def refuse(_payload: dict[str, Any]) -> None:
        raise RuntimeError("no")

    queue.add("refuse")

    assert service.do_next(queue, _job("refuse", refuse), tmp_path)
    assert queue.count() == {"waiting": 1}


def test_unknown_job_is_not_taken_for_done(queue: Queue, tmp_path: Path) -> None:
    queue.add("nothing")

    service.do_next(queue, {}, tmp_path)

    assert queue.count() == {"waiting": 1}


def test_repeated_job_runs_by_itself(queue: Queue, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    service.do_next(queue, _job("tick", seen.append, every_seconds=60), tmp_path)

    assert seen == [{}]


def test_jobs_of_the_project_are_found() -> None:
    found = jobs.load()

    assert found["forget_done"].every_seconds == 24 * 3600


def test_process_does_its_jobs_shows_life_and_ends_on_sigterm(tmp_path: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "worker", "run"], env=environment)
    deadline = time.monotonic() + 20
    with Queue(tmp_path) as queue:
        while queue.count() != {"done": 1} and time.monotonic() < deadline:
            time.sleep(0.05)
        done = queue.count()
    alive = heartbeat.is_fresh(tmp_path)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=20) == 0
    assert (done, alive) == ({"done": 1}, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["add", "forget_done"], 0), (["add", "nothing"], 1), (["add", "forget_done", "[]"], 1), ([], 2)],
)
def test_command_line_adds_only_known_jobs(tmp_path: Path, arguments: list[str], code: int) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path)}

    done = subprocess.run([sys.executable, "-m", "worker", *arguments], env=environment, check=False)

    assert done.returncode == code
