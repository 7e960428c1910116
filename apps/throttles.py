"""How many requests a minute: per token, and per person over all of their tokens.

All web processes count together, in the broker's server. While that does not
answer each counts for itself: a limit is no reason to refuse what works without
a broker, and there is still one.
"""

import logging
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.cache import BaseCache, caches
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.rest import restriction_of

if TYPE_CHECKING:
    # REST framework reads the settings, which name this module, when that one is imported.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

#: Names of the caches.
SHARED: Final = "shared"
OWN: Final = "default"
_WINDOW_SECONDS = 60
#: So long nobody waits again for a server that did not answer.
_PAUSE_SECONDS = 5.0


class _Counter:
    """Counts in the shared cache, or in this process's own while that is away."""

    def __init__(self) -> None:
        self._away_until = 0.0

    def count(self, key: str) -> int:
        """Add one, and return how many there are."""
        if time.monotonic() >= self._away_until:
            try:
                return _increase(caches[SHARED], key)
            except (RedisError, ValueError) as error:  # the server is away, or has just lost the key
                self._away_until = time.monotonic() + _PAUSE_SECONDS
                logger.warning("Requests are counted by each process for itself: %s", type(error).__name__)
        return _increase(caches[OWN], key)


def _increase(cache: BaseCache, key: str) -> int:
    cache.add(key, 0, timeout=2 * _WINDOW_SECONDS)
    return cache.incr(key)


_counter = _Counter()


class Throttle(BaseThrottle, ABC):
    """Counts the requests of one principal within the current minute."""

    @abstractmethod
    def principal(self, request: Request) -> str | None:
        """Return whom to count; None for nobody."""

    @abstractmethod
    def limit(self) -> int:
        """Return how many requests a minute are let through."""

    def allow_request(self, request: Request, _view: "APIView") -> bool:
        """Count a request and tell whether it may pass."""
        who = self.principal(request)
        if who is None:
            return True
        window = int(time.time()) // _WINDOW_SECONDS
        return _counter.count(f"requests:{who}:{window}") <= self.limit()

    def wait(self) -> float:
        """Return after how many seconds the next minute begins."""
        return _WINDOW_SECONDS - time.time() % _WINDOW_SECONDS


class TokenThrottle(Throttle):
    """One token, a worker's included."""

    def principal(self, request: Request) -> str | None:
        """Return the token's own name; a signed-in browser has none."""
        return None if request.auth is None else f"{type(request.auth).__name__}:{request.auth.pk}"

    def limit(self) -> int:
        """Return the setting."""
        return int(settings.API_REQUESTS_PER_MINUTE_PER_TOKEN)


class PersonThrottle(Throttle):
    """One person; what their workers ask is counted with the workers' tokens alone."""

    def principal(self, request: Request) -> str | None:
        """Return the person's own name."""
        is_person = request.user.is_authenticated and restriction_of(request) is None
        return f"person:{request.user.pk}" if is_person else None

    def limit(self) -> int:
        """Return the setting."""
        return int(settings.API_REQUESTS_PER_MINUTE)
