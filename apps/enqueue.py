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
from django.db import connection, transaction
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
    is free is resumable at once.
    """
    number = _lock_number(f"{kind}:{key}")
    until = time.monotonic() + patience_seconds
    while not (obtained := _try_lock(number)) and time.monotonic() < until:
        time.sleep(_LOCK_POLL_SECONDS)
    try:
        yield obtained
    finally:
        if obtained:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def _try_lock(number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _lock_number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
