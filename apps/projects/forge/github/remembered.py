"""Answers with their ETags, in Redis: asking again whether one has changed costs no call of the hour."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from apps.projects.forge.github import store
from apps.projects.forge.github.transport import Answer

_LIFETIME_SECONDS: Final = 86_400
_MAX_BYTES: Final = 256 * 1024


class RememberedAnswers:
    """The last answer to each conditional request.

    Args:
        redis: the shared server.
        name: of the app's keys.

    """

    def __init__(self, redis: "Redis", *, name: str) -> None:
        self._redis = redis
        self._prefix = f"github:{name}:etag"

    def find(self, path: str, parameters: Mapping[str, str]) -> Answer | None:
        """Return the answer that is remembered, or None."""
        with store.answering():
            stored: Any = self._redis.get(self._key(path, parameters))
        if stored is None:
            return None
        headers, data = json.loads(zlib.decompress(stored))
        return Answer(status=200, headers=headers, data=data)

    def store(self, path: str, parameters: Mapping[str, str], answer: Answer) -> None:
        """Remember an answer, unless it has no ETag or is large."""
        kept = {name: answer.headers[name] for name in ("etag", "link") if name in answer.headers}
        packed = zlib.compress(json.dumps([kept, answer.data]).encode(), level=1)
        if "etag" in kept and len(packed) <= _MAX_BYTES:
            with store.answering():
                self._redis.set(self._key(path, parameters), packed, ex=_LIFETIME_SECONDS)

    def note(self, fact: str) -> None:
        """Remember a fact about the host for a day: what it cannot do, it may learn."""
        with store.answering():
            self._redis.set(f"{self._prefix}:fact:{fact}", 1, ex=_LIFETIME_SECONDS)

    def is_noted(self, fact: str) -> bool:
        """Tell whether a fact was noted."""
        with store.answering():
            return self._redis.exists(f"{self._prefix}:fact:{fact}") == 1

    def _key(self, path: str, parameters: Mapping[str, str]) -> str:
        text = json.dumps([path, sorted(parameters.items())])
        return f"{self._prefix}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
