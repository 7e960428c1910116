"""Puts the result consumer and whoever hears of ends into the Celery worker that consumes ``ingest``."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery import bootsteps
from django.conf import settings

from apps.units.watch import ExitWatcher
from apps.workers import engine
from apps.workers.channel import connect, get_channel
from apps.workers.composition import get_units
from apps.workers.consumer import Pace, ResultConsumer
from apps.workers.consumer_followups import FollowUps
from apps.workers.events import DockerEventsListener
from apps.workers.runtime.choice import DOCKER
from apps.workers.runtime.docker_events import DockerEnds

logger = logging.getLogger(__name__)

QUEUE: Final = "ingest"
#: EX_SOFTWARE: the supervisor starts the process again.
EXIT_CODE: Final = 70
_STOP_SECONDS: Final = 5.0


class Lifeline:
    """A thread without which its process has no business to live.

    Args:
        name: of the thread.
        work: gets an event and returns soon after it is set.
        give_up: called when the work ended although nobody asked it to.

    """

    def __init__(
        self, name: str, work: Callable[[threading.Event], None], *, give_up: Callable[[], Any] | None = None
    ) -> None:
        self._stop = threading.Event()
        self._work = work
        self._give_up = give_up or _end_process
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to end, and wait a few seconds for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException:
            logger.exception("Thread %s died", self._thread.name)
        if not self._stop.is_set():
            self._give_up()


def _end_process() -> None:
    """End the process: a worker that looks alive and consumes nothing would be worse."""
    logging.shutdown()
    os._exit(EXIT_CODE)


class ResultConsumerStep(bootsteps.StartStopStep):
    """Runs the result consumer beside the pool; started once, not at every reconnect."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._lifeline: Lifeline | None = None
        self._follow_ups: FollowUps | None = None

    def include_if(self, parent: Any) -> bool:
        """Tell whether this worker consumes the queue of results."""
        return QUEUE in parent.app.amqp.queues.consume_from

    def start(self, _parent: Any) -> None:
        """Start the threads."""
        self._follow_ups = FollowUps()
        self._follow_ups.start()
        pace = Pace()
        client = connect(settings.CHANNEL_REDIS_URL, timeout_seconds=pace.block_ms / 1_000 + 5)
        consumer = ResultConsumer(
            channel=get_channel(),
            client=client,
            tell=self._follow_ups.tell,
            flood_limit=settings.WORKERS_FLOOD_ENTRIES_PER_MINUTE,
            pace=pace,
        )
        self._lifeline = Lifeline("result-consumer", consumer.run)
        self._lifeline.start()
        logger.info("Result consumer %s started", consumer.name)

    def stop(self, _parent: Any) -> None:
        """Finish the batch at hand and end."""
        if self._lifeline is not None:
            self._lifeline.stop()
        if self._follow_ups is not None:
            self._follow_ups.stop(_STOP_SECONDS)

    def terminate(self, parent: Any) -> None:
        """End without waiting for the pool."""
        self.stop(parent)


class ExitWatcherStep(bootsteps.StartStopStep):
    """Watches for units that end, and sends the Celery task each of them names."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._lifeline: Lifeline | None = None

    def include_if(self, parent: Any) -> bool:
        """Tell whether this worker is the one that watches."""
        return QUEUE in parent.app.amqp.queues.consume_from

    def start(self, parent: Any) -> None:
        """Start the thread."""
        watcher = ExitWatcher(get_units(), lambda _name, on_exit: _send(parent, *on_exit))
        self._lifeline = Lifeline("exit-watcher", watcher.run)
        self._lifeline.start()

    def stop(self, _parent: Any) -> None:
        """End."""
        if self._lifeline is not None:
            self._lifeline.stop()

    def terminate(self, parent: Any) -> None:
        """End without waiting for the pool."""
        self.stop(parent)


class DockerEventsStep(ExitWatcherStep):
    """Listens for containers that end, where workers are containers."""

    def include_if(self, parent: Any) -> bool:
        """Tell whether this worker is the one that listens."""
        return super().include_if(parent) and engine.runtime_name() == DOCKER

    def start(self, parent: Any) -> None:
        """Start the thread."""
        runtime = engine.get_docker()
        source = DockerEnds(runtime.connection, runtime.installation)
        listener = DockerEventsListener(source, lambda task, arguments: _send(parent, task, arguments))
        self._lifeline = Lifeline("docker-events", listener.run)
        self._lifeline.start()


def _send(parent: Any, task: str, arguments: Mapping[str, Any]) -> None:
    """Send one Celery task; raising makes whoever heard of the end try again."""
    parent.app.send_task(task, kwargs=dict(arguments), retry=False)
