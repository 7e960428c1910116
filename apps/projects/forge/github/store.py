"""The Redis server that all processes share their tokens, counters and remembered answers in."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from redis import Redis
from redis.exceptions import RedisError

from apps.projects.forge.base import ForgeUnavailable

_TIMEOUT_SECONDS = 2.0


@lru_cache(maxsize=8)
def connect(url: str) -> "Redis":
    """Return a client that connects when it is first used; its values are bytes."""
    return Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS)


@contextmanager
def answering() -> Iterator[None]:
    """Turn every failure of the server into one error that says "wait".

    Raises:
        ForgeUnavailable: without the counters nobody knows whether a call is allowed.

    """
    try:
        yield
    except RedisError as error:
        raise ForgeUnavailable(
            f"What the processes share about the git host is out of reach: {type(error).__name__}"
        ) from error
