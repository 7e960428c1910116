"""Which function answers which call, and what a token must be allowed for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.github_server.wire import Answer, Request

Handler = Callable[[Any, Request], Answer]


@dataclass(frozen=True)
class Route:
    """One documented endpoint."""

    method: str
    pattern: str
    needs: str  # "contents=write"; "" any token, "app" the app's own credential, "public" none
    handler: Handler
    expression: re.Pattern[str]

    @property
    def name(self) -> str:
        """As the call counter shows it."""
        return f"{self.method} {self.pattern}"


ROUTES: list[Route] = []


def route(method: str, pattern: str, *, needs: str) -> Callable[[Handler], Handler]:
    """Register a handler; `{name}` is one part of the path, `{name...}` the rest of it."""
    text = re.sub(r"\\\{(\w+)\\\.\\\.\\\.\\\}", r"(?P<\1>.+)", re.escape(pattern))
    text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", text)

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, pattern, needs, handler, re.compile(text)))
        return handler

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a call with the values in its path; the more literal one wins."""
    found = [
        (route, match.groupdict())
        for route in ROUTES
        if route.method == method and (match := route.expression.fullmatch(path))
    ]
    return min(found, key=lambda item: (len(item[1]), "..." in item[0].pattern), default=None)
