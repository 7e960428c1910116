"""What a worker process makes sure of before it takes set-ups."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from django.db import DatabaseError

from apps.infra import ansible_configuration, incidents
from apps.infra.models import IncidentSeverity

logger = logging.getLogger(__name__)

QUEUE: Final = "provision"
_KIND, _SUBJECT = "ansible_configuration", "platform"


class Queues(Protocol):
    """The queues of a worker, as Celery keeps them."""

    @property
    def consume_from(self) -> Collection[str]:
        """Their names."""

    def deselect(self, exclude: str) -> None:
        """Take nothing from one."""


def refuse_foreign_configuration(
    queues: Queues, *, problems: Callable[[], Sequence[str]] = ansible_configuration.problems
) -> None:
    """Take nothing from the queue of set-ups while Ansible would not obey our configuration.

    Args:
        queues: of this worker.
        problems: says what is wrong.

    Raises:
        SystemExit: this worker has no other queue.
    """
    if QUEUE not in queues.consume_from:
        return
    found = problems()
    _tell(found)
    if not found:
        return
    for problem in found:
        logger.error("No set-up is run: %s", problem)
    queues.deselect(QUEUE)
    if not queues.consume_from:
        raise SystemExit(1)


def _tell(found: Sequence[str]) -> None:
    try:
        if found:
            message = f"No set-up is run: {found[0]}"
            incidents.report(
                kind=_KIND,
                subject=_SUBJECT,
                message=message,
                severity=IncidentSeverity.CRITICAL,
                details={"problems": list(found)},
            )
        else:
            incidents.resolve(kind=_KIND, subject=_SUBJECT)
    except DatabaseError as error:
        # A worker may start before its database does; what is wrong stands in its log.
        logger.warning("What was found of Ansible could not be written down: %s", error)
