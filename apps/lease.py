"""Who of several may do what one process alone does: the one whose database session holds the lock.

The lock is free within milliseconds of its holder's death, and nobody else gets it before. A holder whose
session ended does not know at once, so a successor gives it a moment.
"""

import hashlib
import logging
from typing import Any

import psycopg
from django.db import connection

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5


class Lease:
    """PostgreSQL's advisory lock of one name, on a connection of its own; for one thread at a time."""

    def __init__(self, name: str, *, idle_seconds: int | None = None) -> None:
        """Prepare a lease; nobody is asked yet.

        Args:
            name: what it is for.
            idle_seconds: how long the database lets a silent holder keep it: one that was stopped, or whose
                machine is gone. None: as long as the session lasts.

        """
        self._number = _number(name)
        self._name, self._idle_seconds = name, idle_seconds
        self._session: psycopg.Connection[Any] | None = None
        self._is_ours = False

    def try_take(self) -> bool:
        """Return whether the lease is ours now.

        Raises:
            psycopg.OperationalError: the database does not answer.

        """
        if self._session is None:
            self._session = _connect(self._name, self._idle_seconds)
        try:
            row = self._session.execute("SELECT pg_try_advisory_lock(%s)", [self._number]).fetchone()
        except psycopg.Error:
            self.release()
            raise
        self._is_ours = bool(row and row[0])
        return self._is_ours

    def is_held(self) -> bool:
        """Return whether the session that holds the lock is alive; a lost lease is never ours again."""
        if self._session is None or not self._is_ours:
            return False
        try:
            self._session.execute("SELECT 1")
        except psycopg.Error as error:
            logger.warning("The session of the lease ended: %s", type(error).__name__)
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let another process have it."""
        self._is_ours = False
        if self._session is not None:
            self._session.close()
            self._session = None


def _connect(name: str, idle_seconds: int | None) -> psycopg.Connection[Any]:
    # None lets libpq take what it would take anyhow.
    idle = None if idle_seconds is None else f"-c idle_session_timeout={idle_seconds}s"
    # The database in use, which in a test is not that of the settings.
    where = connection.settings_dict
    return psycopg.connect(
        dbname=where["NAME"],
        user=where["USER"],
        password=where["PASSWORD"],
        host=where["HOST"],
        port=where["PORT"],
        autocommit=True,
        connect_timeout=_CONNECT_SECONDS,
        application_name=name.partition(":")[0],
        # A network that swallows packets is noticed, too.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        options=idle,
    )


def _number(name: str) -> int:
    digest = hashlib.blake2b(f"lease:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
