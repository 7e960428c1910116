"""Who may ask Telegram for updates: the one process whose database session holds the bot's lock.

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

    def __init__(self, name: str) -> None:
        self._number = _number(name)
        self._session: psycopg.Connection[Any] | None = None

    def try_take(self) -> bool:
        """Return whether the lease is ours now.

        Raises:
            psycopg.OperationalError: the database does not answer.

        """
        if self._session is None:
            self._session = _connect()
        try:
            row = self._session.execute("SELECT pg_try_advisory_lock(%s)", [self._number]).fetchone()
        except psycopg.Error:
            self.release()
            raise
        return bool(row and row[0])

    def is_held(self) -> bool:
        """Return whether the session that holds the lock is alive; a lost lease is never ours again."""
        if self._session is None:
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
        if self._session is not None:
            self._session.close()
            self._session = None


def _connect() -> psycopg.Connection[Any]:
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
        application_name="runbot",
        # A network that swallows packets is noticed, too.
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )


def _number(name: str) -> int:
    digest = hashlib.blake2b(f"lease:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
