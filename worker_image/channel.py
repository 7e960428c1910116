"""The worker's end of its stream pair: the only code inside a worker that speaks to Redis streams.

Reading is at least once: an entry stays pending until `acknowledge`, and pending entries come first after a
restart or a lost connection. Sending keeps order and never loses a result: entries wait in a bounded buffer,
numbered by `seq`, until the server took them. A repeated append keeps its (boot, seq), which is how the
control plane recognises it.

Connection loss is survived for ever. A server that answers but refuses our user is asked again until
`refused_deadline_seconds`, because its users may be about to be created again; then `ChannelRefused`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from worker_image import streams
from worker_image.backoff import Backoff
from worker_image.contract import (
    DATA_FIELD,
    INPUT_GROUP,
    MAX_ENTRY_BYTES,
    DeveloperWorkerOutput,
    ErrorCode,
    OutputBody,
    OutputEnvelope,
    OutputKind,
    POWorkerOutput,
    ResultStatus,
    envelope,
    input_stream,
    output_stream,
)
from worker_image.masking import mask

BLOCK_MS = 5_000
SOCKET_TIMEOUT_SECONDS = BLOCK_MS / 1000 + 10
REFUSED_DEADLINE_SECONDS = 3_600.0
CONSUMER = "wrapper"
"""Fixed on purpose: the stream is the worker's own, and a restarted wrapper must find what is pending."""
MAX_WAITING = 2_000
"""Entries that wait for the server; above it the oldest heartbeats and progress are dropped."""
EARLY_EMPTY_PAUSE_SECONDS = 0.05

logger = structlog.get_logger(__name__)
Answer = TypeVar("Answer")


class ChannelRefused(Exception):
    """The server refused this worker's user for longer than a restart takes: the worker was shut out."""


def connect(url: str) -> "redis.asyncio.Redis":
    """Return a client whose timeouts fit blocking reads; it connects when first used."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
    )


class WorkerChannel:
    """Turns in, reports out, over one worker's two streams."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        worker_id: str,
        *,
        block_ms: int = BLOCK_MS,
        refused_deadline_seconds: float = REFUSED_DEADLINE_SECONDS,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.boot = uuid4().hex
        self._client = client
        self._input = input_stream(worker_id)
        self._output = output_stream(worker_id)
        self._block_ms = block_ms
        self._refused_deadline = refused_deadline_seconds
        self._refused_since: float | None = None
        self._secrets = secrets
        self._seq = 0
        self._waiting: deque[OutputEnvelope] = deque()
        self._sending = asyncio.Lock()
        self._posted = asyncio.Event()
        self._pending_first = True

    @property
    def waiting(self) -> int:
        """How many entries the server has not taken yet."""
        return len(self._waiting)

    async def next_input(self) -> streams.Entry:
        """Wait, as long as it takes, for the next turn; entries given before and not acknowledged come first.

        Raises:
            ChannelRefused: the server shut this worker out.

        """
        while True:
            entry = await self._persist(self._read_once, "channel_read_failed")
            if entry is not None:
                return entry

    async def acknowledge(self, entry: streams.Entry) -> None:
        """Tell the server that an entry is done with.

        Raises:
            ChannelRefused: the server shut this worker out.

        """

        async def acknowledge_once() -> None:
            await self._client.xack(self._input, INPUT_GROUP, entry.id)

        await self._persist(acknowledge_once, "channel_acknowledge_failed")

    def post(self, body: OutputBody) -> OutputEnvelope:
        """Queue a numbered report without waiting and without our secrets; `flush` sends what is queued."""
        self._seq += 1
        entry = envelope(boot=self.boot, seq=self._seq, body=body)
        said = entry.model_dump_json()
        if (masked := mask(said, self._secrets)) is not said:
            entry = OutputEnvelope.model_validate_json(masked)
        if len(masked.encode()) > MAX_ENTRY_BYTES:
            entry = envelope(boot=self.boot, seq=self._seq, body=_too_large(body))
        self._waiting.append(entry)
        if len(self._waiting) > MAX_WAITING:
            self._drop_oldest_hint()
        self._posted.set()
        return entry

    async def pump(self) -> None:
        """Send whatever is posted, for ever, so that nobody else has to wait for the server.

        Raises:
            ChannelRefused: the server shut this worker out.
        """
        while True:
            await self._posted.wait()
            self._posted.clear()
            await self.flush()

    async def flush(self) -> None:
        """Send everything queued, in order, as long as it takes.

        Raises:
            ChannelRefused: the server shut this worker out.

        """
        async with self._sending:
            while self._waiting:
                await self._persist(self._append_first, "channel_append_failed")

    async def send(self, body: OutputBody) -> None:
        """Queue a report and wait until the server has it and all before it.

        Raises:
            ChannelRefused: the server shut this worker out.

        """
        self.post(body)
        await self.flush()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _append_first(self) -> None:
        entry = self._waiting[0]
        await self._client.xadd(self._output, {DATA_FIELD: entry.model_dump_json()})
        if self._waiting and self._waiting[0] is entry:
            self._waiting.popleft()

    async def _read_once(self) -> streams.Entry | None:
        began = time.monotonic()
        position = "0" if self._pending_first else ">"
        block_ms = None if self._pending_first else self._block_ms
        reply: Any = await self._client.xreadgroup(
            INPUT_GROUP, CONSUMER, {self._input: position}, count=1, block=block_ms
        )
        entries = streams.flatten(reply)
        if entries:
            return entries[0]
        if self._pending_first:
            self._pending_first = False
        elif time.monotonic() - began < EARLY_EMPTY_PAUSE_SECONDS:
            # A server that does not honour BLOCK must not make this loop spin.
            await asyncio.sleep(EARLY_EMPTY_PAUSE_SECONDS)
        return None

    async def _persist(self, attempt: Callable[[], Awaitable[Answer]], event: str) -> Answer:
        backoff = Backoff()
        while True:
            try:
                answer = await attempt()
            except (RedisError, OSError) as error:
                self._pending_first = True
                logger.warning(event, error=str(error), error_type=type(error).__name__, waiting=self.waiting)
                if not (isinstance(error, ResponseError) and await self._repair(error)):
                    self._check_refusal(error)
                    await asyncio.sleep(backoff.next_pause())
            else:
                self._refused_since = None
                return answer

    async def _repair(self, error: ResponseError) -> bool:
        """Create a missing group where our user may; in a real worker the control plane does it."""
        if not streams.is_group_missing(error):
            return False
        try:
            await self._client.xgroup_create(self._input, INPUT_GROUP, id="0", mkstream=True)
        except (RedisError, OSError) as denial:
            return streams.is_group_exists(denial)
        return True

    def _check_refusal(self, error: Exception) -> None:
        if not isinstance(error, AuthenticationError | NoPermissionError):
            self._refused_since = None
            return
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since > self._refused_deadline:
            raise ChannelRefused(f"refused for {self._refused_deadline:.0f} s: {error}") from error

    def _drop_oldest_hint(self) -> None:
        hints = {OutputKind.HEARTBEAT, OutputKind.PROGRESS}
        # The first entry may be on its way to the server.
        for position in range(1, len(self._waiting)):
            if self._waiting[position].kind in hints:
                del self._waiting[position]
                return


def _too_large(body: OutputBody) -> OutputBody:
    message = f"the result is larger than {MAX_ENTRY_BYTES} bytes"
    failure = {"status": ResultStatus.ERROR, "error": message, "error_code": ErrorCode.RESULT_TOO_LARGE}
    match body:
        case DeveloperWorkerOutput():
            return body.model_copy(update={**failure, "summary": None})
        case POWorkerOutput():
            return body.model_copy(update={**failure, "text": ""})
        case _:
            raise ValueError(f"{type(body).__name__} is larger than {MAX_ENTRY_BYTES} bytes")
