"""Bytes from one connection to another: as they come, an exact length, or chunks; with an idle deadline."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.edge.answers import Refused

IDLE_SECONDS: Final = 900.0
#: For the other direction once the client is done: it may have gone altogether.
_LINGER_SECONDS: Final = 60.0
_PIECE_BYTES: Final = 64 * 1024
_CHUNK_LINE_BYTES: Final = 1_024
_CHUNK_SIZE: Final = re.compile(rb"(?P<size>[0-9a-fA-F]{1,8})[ \t]*(;.*)?$")


@dataclass(kw_only=True)
class Connection:
    """One end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    read_bytes: int = 0
    active_at: float = field(default_factory=time.monotonic)

    @property
    def peer(self) -> str:
        """Address of the other side."""
        name = self.writer.get_extra_info("peername")
        return str(name[0]) if name else "unknown"

    async def read(self, limit: int = _PIECE_BYTES) -> bytes:
        """Return what has come, nothing at its end."""
        data = await self.reader.read(limit)
        self.read_bytes += len(data)
        self.active_at = time.monotonic()
        return data

    async def write(self, data: bytes) -> None:
        """Send; waits while the other side does not read."""
        self.writer.write(data)
        await self.writer.drain()
        self.active_at = time.monotonic()

    async def close(self) -> None:
        """Close both directions; a connection that broke is closed too."""
        self.writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self.writer.wait_closed()


async def everything(source: Connection, target: Connection) -> None:
    """Pass on all that comes, then the end of it."""
    while data := await source.read():
        await target.write(data)
    if target.writer.can_write_eof():
        target.writer.write_eof()


async def exactly(source: Connection, target: Connection, count: int) -> None:
    """Pass on ``count`` bytes.

    Raises:
        ConnectionError: the source ended before.
    """
    while count:
        data = await source.read(min(count, _PIECE_BYTES))
        if not data:
            raise ConnectionError("the body ended early")
        await target.write(data)
        count -= len(data)


async def chunks(source: Connection, target: Connection) -> None:
    """Pass on a body in chunks up to its last one; trailers are dropped.

    Raises:
        ConnectionError: the framing is broken.
    """
    while True:
        line = await _line(source)
        match = _CHUNK_SIZE.match(line)
        if match is None:
            raise ConnectionError("a chunk's size is malformed")
        size = int(match["size"], 16)
        if not size:
            break
        await target.write(b"%x\r\n" % size)
        await exactly(source, target, size)
        if await _line(source):
            raise ConnectionError("a chunk is longer than it said")
        await target.write(b"\r\n")
    while await _line(source):
        pass
    await target.write(b"0\r\n\r\n")


async def _line(source: Connection) -> bytes:
    try:
        line = await source.reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ConnectionError("a chunk is malformed") from error
    if len(line) > _CHUNK_LINE_BYTES:
        raise ConnectionError("a chunk's line is too long")
    return line[:-2]


async def splice(
    client: Connection,
    upstream: Connection,
    *,
    upwards: Callable[[], Awaitable[None]] | None = None,
    idle_seconds: float = IDLE_SECONDS,
) -> None:
    """Pass bytes both ways until both ends are done, one breaks, or nothing moved for ``idle_seconds``.

    Args:
        client: who came to us.
        upstream: whom we connected to.
        upwards: what is passed from client to upstream, by default everything. If given, the exchange is one
            question and its answer: it ends with the answer, or when the client goes away.
        idle_seconds: in both directions together.
    """
    downwards = asyncio.ensure_future(everything(upstream, client))
    is_tunnel = upwards is None
    question = asyncio.ensure_future(
        everything(client, upstream) if upwards is None else _one(upwards, client)
    )
    pending: set[asyncio.Future[None]] = {downwards, question}
    try:
        while pending:
            patience = idle_seconds if question in pending else min(idle_seconds, _LINGER_SECONDS)
            left = max(client.active_at, upstream.active_at) + patience - time.monotonic()
            if left <= 0:
                return
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not is_tunnel or any(task.exception() for task in done):
                return
            if question in done and not upstream.writer.can_write_eof():
                return  # an end that cannot be passed on, such as one of TLS, is the end
    finally:
        for task in (downwards, question):
            task.cancel()
        await asyncio.gather(downwards, question, return_exceptions=True)


async def _one(upwards: Callable[[], Awaitable[None]], client: Connection) -> None:
    """Pass one question on, then wait until the client goes away; what else it says is for nobody."""
    await upwards()
    while await client.read():
        pass


async def connect(
    host: str, port: int, *, seconds: float, tls_name: str = "", limit: int = 2 * _PIECE_BYTES
) -> Connection:
    """Connect to one address.

    Args:
        host: an address, or a name that our own configuration gave.
        port: the port.
        seconds: the deadline.
        tls_name: speak TLS and expect this name in the certificate.
        limit: of the bytes that are read ahead.

    Raises:
        Refused: 502, nobody listens there or the way is closed; 504, no answer in time.
    """
    opening = asyncio.open_connection(
        host, port, limit=limit, ssl=True if tls_name else None, server_hostname=tls_name or None
    )
    return await _opened(opening, seconds=seconds)


async def connect_socket(path: str, *, seconds: float, limit: int = 2 * _PIECE_BYTES) -> Connection:
    """Connect to a socket of the file system; as `connect` otherwise."""
    return await _opened(asyncio.open_unix_connection(path, limit=limit), seconds=seconds)


async def _opened(
    opening: Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]], *, seconds: float
) -> Connection:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await opening
    except TimeoutError as error:
        raise Refused(504, f"did not answer within {seconds:g} s") from error
    except OSError as error:
        raise Refused(502, error.strerror or type(error).__name__) from error
    return Connection(reader=reader, writer=writer)
