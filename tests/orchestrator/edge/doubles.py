"""Servers behind the edge, small and scripted, and an edge on a loopback address of its own."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from orchestrator.edge.addresses import AllowList
from orchestrator.edge.config import EdgeConfig, ListenPorts, Upstream
from orchestrator.edge.listeners import Edge
from orchestrator.edge.resolver import Resolver

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def some_address() -> str:
    """A loopback address that stands for a gateway; no other test listens there."""
    return f"127.{random.randint(2, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"


@dataclass
class Server:
    """A server that remembers what it was sent."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    @property
    def upstream(self) -> Upstream:
        return Upstream(host="127.0.0.1", port=self.port)


@asynccontextmanager
async def serving(script: Callable[[Server], Script]) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(_closing(script(server)), "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def _closing(script: Script) -> Script:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


def web(server: Server) -> Script:
    """Answers every request with 200 and remembers head and body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b""
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Content-Length":
                body = await reader.readexactly(int(value))
            if name == "Transfer-Encoding":
                body = await reader.readuntil(b"0\r\n\r\n")
        server.received.append(head + body)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfrom the server")
        await writer.drain()

    return serve


def echo(server: Server) -> Script:
    """Sends back what comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            server.received.append(data)
            writer.write(data)
            await writer.drain()

    return serve


def lookup_of(names: dict[str, Sequence[str]]) -> Resolver:
    """A resolver that knows these names only."""

    def lookup(host: str) -> Sequence[str]:
        if host not in names:
            raise OSError("unknown name")
        return names[host]

    return Resolver(lookup=lookup, seconds=5)


@asynccontextmanager
async def edge_of(
    *,
    api: Upstream | None = None,
    channel: Upstream | None = None,
    allow: Sequence[str] = (),
    resolver: Resolver | None = None,
    **settings: object,
) -> AsyncIterator[Edge]:
    nowhere = Upstream(host="127.0.0.1", port=1)
    config = EdgeConfig(
        interface="none",
        address=some_address(),
        api=api or nowhere,
        channel=channel or nowhere,
        allow=AllowList(allow),
        ports=ListenPorts(api=0, channel=0, proxy=0),
    )
    edge = Edge(replace(config, **settings), resolver=resolver)
    await edge.follow()
    try:
        yield edge
    finally:
        await edge.close()


async def say(address: str, port: int, *parts: bytes, until_closed: bool = True) -> bytes:
    """Send and return everything that comes back."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read() if until_closed else await reader.read(65_536)
    finally:
        writer.close()
