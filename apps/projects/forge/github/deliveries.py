"""Which webhook deliveries have come already: by their id, and by their content under another id."""

import hashlib
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3_600
#: The host waits for our answer; without the server a delivery that comes twice is done twice.
TIMEOUT_SECONDS: Final = 0.1


class Deliveries:
    """Remembers what was delivered; all it saves is work, so it may forget and may be away.

    Args:
        url: of the shared Redis server.

    """

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
        )

    def is_known(self, delivery: str, event: str, body: bytes) -> bool | None:
        """Tell whether this has come before; None when that cannot be found out."""
        try:
            return self._redis.exists(*self._keys(delivery, event, body)) > 0
        except RedisError:
            return None

    def remember(self, delivery: str, event: str, body: bytes) -> None:
        """Remember it: its id for a day, its content for an hour, since the same may truly happen again."""
        by_id, by_content = self._keys(delivery, event, body)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(by_id, 1, ex=_DAY_SECONDS)
            pipeline.set(by_content, 1, ex=_HOUR_SECONDS)
            pipeline.execute()
        except RedisError:
            return

    @staticmethod
    def _keys(delivery: str, event: str, body: bytes) -> tuple[str, str]:
        content = hashlib.sha256(event.encode() + b"\n" + body).hexdigest()
        name = hashlib.sha256(delivery.encode()).hexdigest()
        return f"github:delivery:{name}", f"github:delivered:{content}"
