"""LangGraph's private memory: its tables, in a schema of their own, and the connections to them.

Each process has one small pool, made at its first use: a connection must not be
shared with a forked child. The database is the one Django is connected to, so a
test database keeps its own checkpoints. LangGraph is loaded when it is first needed (see `executor`).
"""

import atexit
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import connection
from psycopg import Connection, conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

if TYPE_CHECKING:
    from langgraph.checkpoint.postgres import PostgresSaver

SCHEMA = "langgraph"
POOL_TIMEOUT_SECONDS = 10.0
BELIEVED_SECONDS = 1.0

_CONNECTION: dict[str, Any] = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}

Pool = ConnectionPool[Connection[DictRow]]


def saver() -> "PostgresSaver":
    """Return this process's checkpointer."""
    return _saver(os.getpid(), _address())


def setup() -> None:
    """Create or upgrade LangGraph's tables; harmless to repeat, and leaves no connection open."""
    from langgraph.checkpoint.postgres import PostgresSaver

    with Connection.connect(_address(), **_CONNECTION) as raw:
        raw.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        PostgresSaver(raw).setup()


def has_thread(thread_id: str) -> bool:
    """Tell whether a thread has a checkpoint: passing the input again would start it from the top."""
    with _pool(os.getpid(), _address()).connection() as raw:
        found = raw.execute("SELECT 1 FROM checkpoints WHERE thread_id = %s LIMIT 1", [thread_id])
        return found.fetchone() is not None


def delete_thread(thread_id: str) -> None:
    """Forget a thread; one that is not there is forgotten already."""
    saver().delete_thread(thread_id)


def close() -> None:
    """Close this process's connections; the next use opens new ones."""
    pid = os.getpid()
    for known in [key for key in _pools if key[0] == pid]:
        _pools.pop(known).close()
    _saver.cache_clear()


def _address() -> str:
    settings = connection.settings_dict
    return conninfo.make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        host=settings["HOST"],
        port=settings["PORT"],
        connect_timeout=5,
        # Without waiting for the disk: the log keeps the order of commits, so a checkpoint can be lost in a
        # fall of the server only together with everything written after it, and was written after the rows
        # it speaks of. Whatever is waited for later, the park of its run at once, makes it durable.
        options=f"-c search_path={SCHEMA} -c synchronous_commit=off",
    )


_pools: dict[tuple[int, str], Pool] = {}
_answered_at: WeakKeyDictionary[Connection[DictRow], float] = WeakKeyDictionary()


def _check(raw: Connection[DictRow]) -> None:
    """Ask a connection before it is handed out: a restarted server leaves dead ones behind.

    One that answered a moment ago is believed; if it is dead all the same, the look fails and is repeated.
    """
    now = time.monotonic()
    if now - _answered_at.get(raw, -BELIEVED_SECONDS) >= BELIEVED_SECONDS:
        ConnectionPool.check_connection(raw)
        _answered_at[raw] = now


def _pool(pid: int, address: str) -> Pool:
    pool = _pools.get((pid, address))
    if pool is None:
        pool = _pools[pid, address] = ConnectionPool(
            address,
            kwargs=_CONNECTION,
            min_size=1,
            max_size=4,
            timeout=POOL_TIMEOUT_SECONDS,
            check=_check,
            open=True,
        )
    return pool


@cache
def _saver(pid: int, address: str) -> "PostgresSaver":
    from langgraph.checkpoint.postgres import PostgresSaver

    return PostgresSaver(_pool(pid, address))


atexit.register(close)
