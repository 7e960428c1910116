"""The scheduler: of any number of beats on one database one sends, the others are ready to."""

import logging
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django_celery_beat.schedulers import DatabaseScheduler
from typing_extensions import override

from apps import alive
from apps.lease import Lease

logger = logging.getLogger(__name__)

#: How often a beat that does not lead asks whether it may.
STANDBY_SECONDS: Final = 1.0
#: A leader asks the database at every tick; one that is silent for so long has lost the lead.
IDLE_SECONDS: Final = 30


if TYPE_CHECKING:
    from celery.beat import Scheduler as Base
else:
    Base = DatabaseScheduler


class LeadingScheduler(Base):
    """Sends what is due while its database session holds the lease of beat."""

    _schedule: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lease = Lease("beat", idle_seconds=IDLE_SECONDS)
        super().__init__(*args, **kwargs)

    @override
    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, or stand by; returns when to look again, in seconds."""
        if not self._leads():
            return STANDBY_SECONDS
        return float(super().tick(*args, **kwargs))

    @override
    def reserve(self, entry: Any) -> Any:
        """Remember at once that an entry was sent: a schedule that changes now would send it again."""
        reserved = super().reserve(entry)
        self._schedule[entry.name] = reserved
        return reserved

    @override
    def close(self) -> None:
        """Write down what was sent, and let another one lead."""
        super().close()
        self.lease.release()

    def _leads(self) -> bool:
        if self.lease.is_held():
            return True
        try:
            if not self.lease.try_take():
                # Ready to lead is all that is asked of it.
                alive.renew()
                return False
        except psycopg.Error as error:
            logger.warning("Nobody knows which beat leads: %s", type(error).__name__)
            return False
        logger.info("This beat leads")
        # What a predecessor sent, and what an operator changed meanwhile.
        self._initial_read = True
        self._heap = None
        return True
