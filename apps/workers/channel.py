"""The control plane's end of the result channel: users, inputs, draining, wake-ups.

The server is ``CHANNEL_REDIS_URL``, never the broker. Each worker has its own
pair of streams and its own user, made before its container and deleted after it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from apps.errors import Unavailable
from worker_image import streams
from worker_image.contract import (
    DATA_FIELD,
    INPUT_GROUP,
    OUTPUT_GROUP,
    WAKEUP_STREAM,
    acl_user,
    input_stream,
    output_stream,
)

#: Of the calls that are not blocking reads.
TIMEOUT_SECONDS: Final = 3.0
_WAKEUPS_KEPT: Final = 100
_PREFIX: Final = "worker:"


class ChannelUnavailable(Unavailable):
    """The result channel does not answer."""

    code = "channel_unavailable"


@contextmanager
def answering() -> Iterator[None]:
    """Turn every failure of the server into one error that says "wait".

    Raises:
        ChannelUnavailable: the server refused, or could not be asked.

    """
    try:
        yield
    except RedisError as error:
        raise ChannelUnavailable(f"the channel does not answer: {type(error).__name__}: {error}") from error


def connect(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Redis:
    """Return a client; it connects when it is first used.

    Args:
        url: the server as its operator.
        timeout_seconds: of one answer; must exceed the time a blocking read blocks.

    """
    return Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=2)


@lru_cache(maxsize=1)
def _shared_client(url: str) -> Redis:
    return connect(url)


def get_channel() -> "Channel":
    """Return the channel that the settings name."""
    return Channel(_shared_client(settings.CHANNEL_REDIS_URL))


def worker_url(worker_id: UUID, password: str, *, address: str | None = None) -> str:
    """Return the address that a worker is given: its own user, database 0.

    Args:
        worker_id: the worker.
        password: of its user.
        address: ``host:port`` of a relay to the server, which speaks no TLS; None is the server itself.

    """
    parts = urlsplit(settings.CHANNEL_REDIS_URL)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    scheme, place = (parts.scheme, f"{host}:{parts.port or 6379}") if address is None else ("redis", address)
    return urlunsplit((scheme, f"{acl_user(str(worker_id))}:{password}@{place}", "/0", "", ""))


def acl_rule(worker_id: str, password_sha256: str) -> tuple[str, ...]:
    """Return what a worker's user may do: read its own input, append to its own output, nothing else."""
    own_input, own_output = input_stream(worker_id), output_stream(worker_id)
    return (
        *("reset", "on", f"#{password_sha256}", "resetkeys", "resetchannels", "nocommands"),
        *(f"%RW~{own_input}", "+xreadgroup", "+xack"),
        *("+ping", "+hello", "+client|setinfo", "+client|setname"),
        f"(%W~{own_output} +xadd)",
    )


class Channel:
    """What the control plane may do with the channel; every method may be repeated.

    Every method raises ``ChannelUnavailable`` when the server cannot be asked.
    """

    def __init__(self, client: Redis) -> None:
        self.client = client

    def admit(self, worker_id: UUID, password_sha256: str) -> None:
        """Make a worker's user and the groups of its streams, and tell the consumers."""
        name = str(worker_id)
        with answering():
            self._acl("SETUSER", acl_user(name), *acl_rule(name, password_sha256))
            self._save_users()
            streams.ensure_group(self.client, stream=input_stream(name), group=INPUT_GROUP)
            streams.ensure_group(self.client, stream=output_stream(name), group=OUTPUT_GROUP)
        self.wake_consumers()

    def is_admitted(self, worker_id: UUID) -> bool:
        """Tell whether a worker's user exists; a server that lost its data has forgotten it."""
        with answering():
            return bool(self._acl("GETUSER", acl_user(str(worker_id))))

    def shut_out(self, worker_id: UUID) -> None:
        """Delete a worker's user, which also ends its connections; absent is success."""
        with answering():
            self._acl("DELUSER", acl_user(str(worker_id)))
            self._save_users()

    def send_input(self, worker_id: UUID, *, number: int, message: str) -> bool:
        """Append a turn to a worker's input under an id that derives from its number.

        Returns:
            False if that entry had been appended before, which is as good.

        """
        stream = input_stream(str(worker_id))
        with answering():
            streams.ensure_group(self.client, stream=stream, group=INPUT_GROUP)
            try:
                self.client.xadd(stream, {DATA_FIELD: message}, id=f"{number}-0")
            except ResponseError as error:
                if "equal or smaller" in str(error):
                    return False
                raise
        return True

    def is_drained(self, worker_id: UUID) -> bool:
        """Tell whether everything a worker said has been stored."""
        with answering():
            return streams.is_drained(self.client, stream=output_stream(str(worker_id)), group=OUTPUT_GROUP)

    def drop(self, worker_id: UUID) -> None:
        """Delete a worker's streams; absent is success."""
        with answering():
            for stream in (input_stream(str(worker_id)), output_stream(str(worker_id))):
                streams.delete_stream(self.client, stream=stream)

    def wake_consumers(self) -> None:
        """Tell a consumer that the list of workers changed; the others notice within a second."""
        with answering():
            self.client.xadd(WAKEUP_STREAM, {DATA_FIELD: "{}"}, maxlen=_WAKEUPS_KEPT, approximate=True)

    def list_known_workers(self) -> set[UUID]:
        """Return the workers of whom the server holds a stream or a user."""
        with answering():
            keys = [_text(key) for key in self.client.scan_iter(match=f"{_PREFIX}*:*put", count=1_000)]
            users = [_text(user) for user in self._acl("USERS")]
        names = [key.split(":")[1] for key in keys]
        names += [user.removeprefix("worker-") for user in users if user.startswith("worker-")]
        return {found for name in names if (found := _uuid(name)) is not None}

    def largest_output_when_full(self, worker_ids: list[UUID], *, full_at: float) -> UUID | None:
        """Return whose output takes most of a server that is nearly full; None while it is not.

        Args:
            worker_ids: the workers to choose from.
            full_at: share of the server's memory limit that counts as nearly full.

        """
        with answering():
            memory: Any = self.client.info("memory")
            if not memory.get("maxmemory") or memory["used_memory"] < full_at * memory["maxmemory"]:
                return None
            sizes = {
                worker_id: self.client.memory_usage(output_stream(str(worker_id)), samples=5) or 0
                for worker_id in worker_ids
            }
        return max(sizes, key=lambda worker_id: sizes[worker_id], default=None)

    def _acl(self, *words: str) -> Any:
        client: Any = self.client
        return client.execute_command("ACL", *words)

    def _save_users(self) -> None:
        try:
            self._acl("SAVE")
        except ResponseError as error:
            # A server without an aclfile forgets its users when it restarts; the sweep makes them again.
            if "not configured" not in str(error):
                raise


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
