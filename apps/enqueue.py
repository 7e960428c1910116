"""The one way to hand work to Celery, and the lock that keeps two hands off one row.

A message is a hint: the row is the truth and a sweep repeats a hint that was
lost. So a broker that does not answer must neither fail nor delay the request.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from celery import Celery, Task
from django.db import DatabaseError, connection, transaction
from kombu import Connection, pools

logger = logging.getLogger(__name__)

#: The longest that one try of a broker may take, to connect or to answer.
BROKER_SECONDS = 1.0
#: Steps are short: most locks are free again within milliseconds.
LOCK_PATIENCE_SECONDS = 0.5
_LOCK_POLL_SECONDS = 0.02
_ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


@cache
def _broker(app: Celery, _pid: int) -> Connection:
    """Return this process's way to the broker: impatient, unlike that of a worker that waits for work."""
    options = {
        "max_retries": 0,
        "socket_timeout": BROKER_SECONDS,
        "socket_connect_timeout": BROKER_SECONDS,
    }
    return app.connection_for_write(transport_options=options)


def enqueue(task: "Task[Any, Any]", **ids: Any) -> None:
    """Send a Celery task once the current transaction has committed; never raises, never waits long.

    Args:
        task: a registered Celery task.
        ids: its keyword arguments, JSON values only.

    """

    def send() -> None:
        try:
            pool = pools.producers[_broker(task.app, os.getpid())]
            with pool.acquire(block=True, timeout=BROKER_SECONDS) as producer:
                # One more try, at once: a pooled connection may have died with an earlier broker.
                task.apply_async(kwargs=ids, producer=producer, retry=True, retry_policy=_ONCE_MORE)
        except Exception as error:
            # The sweep repeats it; the reader of the log sees why it is late.
            logger.warning("Could not enqueue %s: %s", task.name, error)

    transaction.on_commit(send, robust=True)


@contextmanager
def advisory_lock(kind: str, key: Any, *, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> Iterator[bool]:
    """Hold PostgreSQL's advisory lock for one thing; yields whether it was obtained.

    Args:
        kind: what sort of thing, such as ``worker``.
        key: which one.
        patience_seconds: how long to ask for a lock that somebody holds. A hint
            that came while its row was being looked at would otherwise be lost
            until the next sweep.

    The lock belongs to the database session, so it is free within milliseconds
    of the death of its holder (3 ms measured after ``kill -9``): a row whose lock
    is free is resumable at once. An error at any point, a time limit's in the
    unlocking included, ends the session rather than return it to the pool with
    the lock.
    """
    number = _lock_number(f"{kind}:{key}")
    connection.ensure_connection()
    session = connection.connection
    is_clean = False
    try:
        obtained = _ask(number, patience_seconds)
        is_clean = not obtained
        try:
            yield obtained
        finally:
            if obtained:
                is_clean = _unlock(number, session)
    finally:
        if not is_clean:
            _end(session)


def _ask(number: int, patience_seconds: float) -> bool:
    until = time.monotonic() + patience_seconds
    while not (obtained := _call("pg_try_advisory_lock", number)) and time.monotonic() < until:
        time.sleep(_LOCK_POLL_SECONDS)
    return obtained


def _unlock(number: int, session: Any) -> bool:
    if connection.connection is not session:
        return False
    try:
        return _call("pg_advisory_unlock", number)
    except DatabaseError as error:
        # The step may have left a broken transaction; its own error is the one to be seen.
        logger.warning("A lock could not be given back: %s", error)
        return False


def _end(session: Any) -> None:
    """Close a session at the server, which frees its locks; the pool replaces it."""
    session.close()
    if connection.connection is session:
        connection.close()


def _call(function: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _lock_number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
