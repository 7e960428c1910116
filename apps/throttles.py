"""How many requests a minute: per token, and per person over all of their tokens."""

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.rest import restriction_of

if TYPE_CHECKING:
    # REST framework reads the settings, which name this module, when that one is imported.
    from rest_framework.views import APIView

_WINDOW_SECONDS = 60


class _Throttle(BaseThrottle, ABC):
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
        key = f"requests:{who}:{window}"
        cache.add(key, 0, timeout=2 * _WINDOW_SECONDS)
        return cache.incr(key) <= self.limit()

    def wait(self) -> float:
        """Return after how many seconds the next minute begins."""
        return _WINDOW_SECONDS - time.time() % _WINDOW_SECONDS


class TokenThrottle(_Throttle):
    """One token, a worker's included."""

    def principal(self, request: Request) -> str | None:
        """Return the token's own name; a signed-in browser has none."""
        return None if request.auth is None else f"{type(request.auth).__name__}:{request.auth.pk}"

    def limit(self) -> int:
        """Return the setting."""
        return int(settings.API_REQUESTS_PER_MINUTE_PER_TOKEN)


class PersonThrottle(_Throttle):
    """One person; what their workers ask is counted with the workers' tokens alone."""

    def principal(self, request: Request) -> str | None:
        """Return the person's own name."""
        is_person = request.user.is_authenticated and restriction_of(request) is None
        return f"person:{request.user.pk}" if is_person else None

    def limit(self) -> int:
        """Return the setting."""
        return int(settings.API_REQUESTS_PER_MINUTE)
