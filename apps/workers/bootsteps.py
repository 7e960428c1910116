"""Names the steps that this app adds to a Celery worker; imports nothing that needs Django."""

from typing import Final

from celery import Celery

STEPS: Final = (
    "apps.workers.consumer_step:ResultConsumerStep",
    "apps.workers.consumer_step:ExitWatcherStep",
    "apps.workers.consumer_step:DockerEventsStep",
)


def install(app: Celery) -> None:
    """Add the steps to an app; they start only in a worker that consumes ``ingest``."""
    app.steps["worker"].update(STEPS)
