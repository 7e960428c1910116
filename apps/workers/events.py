"""Hears of the ends of containers and sends the Celery task that each of them names.

Hints only: the sweep finds whatever is missed here. What an end means (a crash,
a stop that was asked for, an exit code of 0) is judged where the row is, by the
reconciler that the hint wakes.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.ends import ContainerEnd, EndKind, EndSource

logger = logging.getLogger(__name__)

#: How many ends are remembered as told, so that a reconnect does not tell them again.
_REMEMBERED: Final = 10_000
#: Streams overlap: the daemon orders events by its clock, and two may share an instant.
_OVERLAP_SECONDS: Final = 2.0
_FIRST_DELAY_SECONDS: Final = 0.2
_LONGEST_DELAY_SECONDS: Final = 10.0

#: Sends one Celery task; raising makes the listener try again.
Announce = Callable[[str, Mapping[str, Any]], None]


class DockerEventsListener:
    """Tells of every end of a container of ours at least once, across restarts of the daemon and our own.

    After each (re)connection the stream is asked for what happened since the
    last word, and the containers that have already ended are looked at: a
    restarted daemon remembers no events, but it does know its containers.

    Args:
        source: where ends are heard.
        announce: gets the Celery task's name and its arguments.
        first_delay: seconds before the second attempt to connect; doubled up to a bound.
    """

    def __init__(
        self, source: EndSource, announce: Announce, *, first_delay: float = _FIRST_DELAY_SECONDS
    ) -> None:
        self._source = source
        self._announce = announce
        self._first_delay = first_delay
        self._told: OrderedDict[tuple[str, EndKind], None] = OrderedDict()
        self._since: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Listen until the event is set."""
        delay = self._first_delay
        while not stop.is_set():
            try:
                self.listen_once(stop)
                delay = self._first_delay
            except RuntimeUnavailable as error:
                logger.warning("The container events ended: %s", error.message)
                stop.wait(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
            except Exception:
                logger.exception("Handling a container event failed")
                stop.wait(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    def listen_once(self, stop: threading.Event) -> None:
        """Tell what has ended meanwhile, then listen for as long as one stream lasts.

        Raises:
            RuntimeUnavailable: the daemon does not answer.
        """
        since = self._source.now() if self._since is None else self._since
        for end in self._source.past():
            self.hear(end)
        self._since = since
        for end in self._source.follow(since - _OVERLAP_SECONDS):
            self.hear(end)
            if end.at is not None:
                self._since = max(self._since, end.at)
            if stop.is_set():
                return

    def hear(self, end: ContainerEnd) -> bool:
        """Tell of one end, unless it was told before; return whether it was told."""
        key = (end.container_id, end.kind)
        if end.on_exit is None or key in self._told:
            return False
        task, arguments = end.on_exit
        logger.info("Container %s: %s (exit code %s)", end.name, end.kind, end.exit_code)
        self._announce(task, arguments)
        # Only now: if it could not be sent, the next connection tries again.
        self._told[key] = None
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True
