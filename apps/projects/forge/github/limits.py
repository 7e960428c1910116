"""How much may be asked: counted in Redis, by the server's clock, for all processes together.

Three bounds: calls under way (a lease each, so a killed process gives its place
back), calls per hour, and a pause that the host has asked for. The hour is a
fixed window and may lie across GitHub's own; what that lets through, GitHub's
answers stop, and one answer pauses every process.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Redis

from apps.projects.forge import hosting
from apps.projects.forge.github import errors, store
from apps.projects.forge.github.transport import TIMEOUT_SECONDS, Answer

logger = logging.getLogger(__name__)

#: How long a call waits for one of the places before it gives up for now.
PATIENCE_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.05
_LEASE_SECONDS: Final = 3 * TIMEOUT_SECONDS
_BUSY_RETRY_SECONDS: Final = 5

# KEYS: leases, hour, pause. ARGV: id, places, lease in seconds, budget.
_TAKE: Final = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local pause = tonumber(redis.call('GET', KEYS[3]) or '0')
if pause > now then return {'paused', math.ceil(pause - now)} end
local hour = math.floor(now / 3600)
if redis.call('HGET', KEYS[2], 'hour') ~= string.format('%d', hour) then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'hour', string.format('%d', hour), 'used', 0)
  redis.call('EXPIRE', KEYS[2], 7200)
end
if tonumber(redis.call('HGET', KEYS[2], 'used')) >= tonumber(ARGV[4]) then
  return {'spent', math.ceil((hour + 1) * 3600 - now)}
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return {'busy', 0} end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]))
return {'granted', redis.call('HINCRBY', KEYS[2], 'used', 1)}
"""
# KEYS: leases, hour. ARGV: id, 1 when the call cost nothing.
_GIVE_BACK: Final = """
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] == '1' and tonumber(redis.call('HGET', KEYS[2], 'used') or '0') > 0 then
  redis.call('HINCRBY', KEYS[2], 'used', -1)
end
"""
# KEYS: pause. ARGV: seconds. Only ever later: two answers in flight do not shorten a pause.
_PAUSE: Final = """
local until_then = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1])
if until_then > tonumber(redis.call('GET', KEYS[1]) or '0') then
  redis.call('SET', KEYS[1], string.format('%d', until_then), 'EX', tonumber(ARGV[1]) + 1)
end
"""


@dataclass(slots=True)
class Call:
    """One call that was let through; its answer says what it cost."""

    is_free: bool = False  # a 304: the host does not count it, so neither do we


class Limits:
    """The bounds of one app on one host.

    Args:
        redis: the shared server.
        name: of the app's keys.
        max_concurrent: calls under way at once, over all processes.
        hourly_budget: calls per hour, over all processes.
        patience_seconds: how long to wait for a free place.

    """

    def __init__(
        self,
        redis: "Redis",
        *,
        name: str,
        max_concurrent: int,
        hourly_budget: int,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._redis = redis
        self._leases, self._hour, self._pause = (
            f"github:{name}:{key}" for key in ("leases", "hour", "pause")
        )
        self._max_concurrent = max_concurrent
        self._hourly_budget = hourly_budget
        self._patience_seconds = patience_seconds

    @contextmanager
    def call(self) -> Iterator[Call]:
        """Hold a place for one call.

        Raises:
            ForgeRateLimited: the hour is spent, the host has asked for a pause, or no place became free.

        """
        lease = uuid.uuid4().hex
        self._take(lease)
        call = Call()
        try:
            yield call
        finally:
            with store.answering():
                self._redis.eval(_GIVE_BACK, 2, self._leases, self._hour, lease, "1" if call.is_free else "0")

    def observe(self, answer: Answer) -> None:
        """Pause every process when an answer asks for it, or says that it was the last one."""
        seconds = errors.wait_of(answer)
        if seconds is None and answer.headers.get("x-ratelimit-remaining") == "0":
            reset = answer.headers.get("x-ratelimit-reset", "")
            seconds = int(reset) - int(time.time()) + 1 if reset.isdecimal() else None
        if seconds is not None and seconds > 0:
            self.pause(seconds)

    def pause(self, seconds: int) -> None:
        """Let no process ask anything for so many seconds."""
        logger.warning("GitHub is left alone for %d s", seconds)
        with store.answering():
            self._redis.eval(_PAUSE, 1, self._pause, seconds)

    @property
    def used(self) -> int:
        """Return how many calls of this hour are counted."""
        with store.answering():
            return int(cast(bytes | None, self._redis.hget(self._hour, "used")) or 0)

    def _take(self, lease: str) -> None:
        until = time.monotonic() + self._patience_seconds
        while True:
            outcome, number = self._ask(lease)
            if outcome == "granted":
                if number == self._hourly_budget * 9 // 10:
                    logger.warning("Nine tenths of this hour's GitHub calls are used: %d", number)
                return
            if outcome != "busy" or time.monotonic() > until:
                raise _limited(outcome, number)
            time.sleep(_POLL_SECONDS)

    def _ask(self, lease: str) -> tuple[str, int]:
        keys = (self._leases, self._hour, self._pause)
        with store.answering():
            answer: Any = self._redis.eval(
                _TAKE, 3, *keys, lease, self._max_concurrent, _LEASE_SECONDS, self._hourly_budget
            )
        return answer[0].decode(), int(answer[1])


def _limited(outcome: str, seconds: int) -> hosting.ForgeRateLimited:
    wait = max(1, seconds) if outcome != "busy" else _BUSY_RETRY_SECONDS
    words = {
        "paused": f"GitHub has asked for a pause; it ends in {wait} s",
        "spent": f"This hour's GitHub calls are spent (GITHUB_HOURLY_BUDGET); the next begins in {wait} s",
        "busy": "As many GitHub calls as are allowed are under way (GITHUB_MAX_CONCURRENT)",
    }
    limit = {"paused": "host", "spent": "budget", "busy": "concurrency"}[outcome]
    return hosting.ForgeRateLimited(words[outcome], details={"retry_after": wait, "limit": limit})
