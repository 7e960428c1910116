"""Does one job after the other and shows a sign of life."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from shared import heartbeat
from worker.jobs import Job
from worker.queue import Claimed, Queue

logger = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
BEAT_SECONDS = 15.0
# A job that takes longer than this is taken for stuck, and so is the worker.
LONGEST_JOB_SECONDS = 540.0
ERROR_LENGTH = 500


def run(directory: Path, jobs: Mapping[str, Job], stop: threading.Event) -> None:
    """Work until told to stop; the job at hand is finished first."""
    with Queue(directory) as queue:
        logger.info("Jobs known: %s", ", ".join(sorted(jobs)) or "none")
        while not stop.is_set():
            heartbeat.beat(directory)
            if not do_next(queue, jobs, directory):
                stop.wait(IDLE_SECONDS)


def do_next(queue: Queue, jobs: Mapping[str, Job], directory: Path) -> bool:
    """Do the job that is due, if any; tells whether there was one."""
    for job in jobs.values():
        if job.every_seconds is not None:
            queue.add_if_due(job.name, every_seconds=job.every_seconds)
    claimed = queue.claim()
    if claimed is None:
        return False
    with _Pulse(directory):
        _do(queue, jobs, claimed)
    return True


def _do(queue: Queue, jobs: Mapping[str, Job], claimed: Claimed) -> None:
    job = jobs.get(claimed.name)
    try:
        if job is None:
            raise LookupError(f"There is no job {claimed.name}")
        job.function(claimed.payload)
    except Exception as error:
        logger.exception("Job %s %s failed", claimed.name, claimed.id)
        if not queue.fail(claimed, f"{type(error).__name__}: {error}"[:ERROR_LENGTH]):
            logger.error("Job %s %s was given up", claimed.name, claimed.id)
    else:
        queue.succeed(claimed)
        logger.info("Job %s %s is done", claimed.name, claimed.id)


class _Pulse:
    """Shows life beside a job, but not for longer than a job may take."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        for _ in range(int(LONGEST_JOB_SECONDS / BEAT_SECONDS)):
            if self._ended.wait(BEAT_SECONDS):
                return
            heartbeat.beat(self._directory)
