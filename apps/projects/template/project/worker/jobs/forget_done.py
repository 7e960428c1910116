"""Keeps the list of jobs short."""

from typing import Any

from worker.jobs import job
from worker.queue import Queue
from worker.settings import Settings

KEEP_DAYS = 7


@job(every_seconds=24 * 3600)
def forget_done(_payload: dict[str, Any]) -> None:
    """Remove jobs that ended a week ago; the ones that gave up stay for somebody to look at."""
    with Queue(Settings.from_environment().data_dir) as queue:
        queue.forget_done(older_than_seconds=KEEP_DAYS * 24 * 3600)
