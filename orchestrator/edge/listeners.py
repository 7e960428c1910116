"""The edge itself: three listeners on the gateway, opened and closed as the gateway comes and goes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from orchestrator.edge.answers import Refused, answer
from orchestrator.edge.config import EdgeConfig, ListenPorts
from orchestrator.edge.gate import Full, Gate, Limits, LineBudget
from orchestrator.edge.gateway import OwnAddresses, address_of
from orchestrator.edge.messages import HEAD_LIMIT_BYTES
from orchestrator.edge.proxy import EgressProxy
from orchestrator.edge.relays import ApiRelay, ChannelRelay
from orchestrator.edge.resolver import Resolver
from orchestrator.edge.streams import Connection

logger = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
#: An installer of packages opens about fifty connections at once. Each costs two of our open files.
LIMITS: Final = {
    "api": Limits(total=512, per_source=32, assured=16),
    "channel": Limits(total=512, per_source=16, assured=16),
    "proxy": Limits(total=2_048, per_source=128, assured=64),
}
_SPEAKS_HTTP: Final = {"api", "proxy", "front", "entrance"}

Serve = Callable[[Connection], Awaitable[None]]


@dataclass(kw_only=True)
class Listener:
    """One port: counts its connections, serves them, says why when it does not."""

    name: str
    serve: Serve
    gate: Gate
    _lines: LineBudget = field(default_factory=LineBudget)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address is not ours or the port is taken.
        """
        self._server = await asyncio.start_server(
            self._accepted, address, port, limit=HEAD_LIMIT_BYTES, backlog=256
        )

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def close(self) -> None:
        """Stop listening and drop every open connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        client = Connection(reader=reader, writer=writer)
        try:
            with self.gate.passing(client.peer):
                await self.serve(client)
        except Full as full:
            self._log("connections_full", client, reason=str(full))
            await self._say(client, 429, f"{full} Close some and try again.")
        except Refused as refusal:
            if not refusal.is_logged:
                self._log("request_refused", client, status=refusal.code, reason=str(refusal))
            await self._say(client, refusal.code, str(refusal))
        except (OSError, asyncio.IncompleteReadError) as broken:
            self._log("connection_broken", client, reason=type(broken).__name__)
        finally:
            await client.close()

    async def _say(self, client: Connection, status: int, message: str) -> None:
        if self.name not in _SPEAKS_HTTP:
            return
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                await client.write(answer(status, message))
                # Closed with unread bytes, the connection would be reset and the answer lost.
                client.writer.write_eof()
                while await client.read():
                    pass

    def _log(self, event: str, client: Connection, **words: object) -> None:
        if self._lines.allows(client.peer):
            logger.info(event, listener=self.name, source=client.peer, **words)


class Edge:
    """Follows the gateway: listens while there is one, waits while there is none."""

    def __init__(self, config: EdgeConfig, *, resolver: Resolver | None = None) -> None:
        self._config = config
        self._resolver = resolver or Resolver(sources=config.sources)
        serving: dict[str, Serve] = {
            "api": ApiRelay(config).serve,
            "channel": ChannelRelay(config).serve,
            "proxy": EgressProxy(config, self._resolver, OwnAddresses()).serve,
        }
        self._listeners = {
            name: Listener(name=name, serve=serve, gate=Gate(limits=LIMITS[name], sources=config.sources))
            for name, serve in serving.items()
        }
        self._address = ""
        self._said = ""

    @property
    def address(self) -> str:
        """Where it listens; empty while it does not."""
        return self._address

    @property
    def ports(self) -> ListenPorts:
        """The ports it listens on."""
        return ListenPorts(**{name: listener.port for name, listener in self._listeners.items()})

    async def run(
        self, *, looked: Callable[[], None] = lambda: None, alive: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until cancelled.

        Args:
            looked: called after the first look at the gateway, whether there is one or not.
            alive: called after every look.
        """
        try:
            await self.follow()
            looked()
            while True:
                alive()
                await asyncio.sleep(_LOOK_SECONDS)
                await self.follow()
        finally:
            await self.close()
            self._resolver.close()

    async def follow(self) -> None:
        """Look once: open, close or move the listeners."""
        address = self._config.address or address_of(self._config.interface)
        if address == self._address:
            if not address:
                self._say_once("edge_waits", interface=self._config.interface)
            return
        await self.close()
        if address:
            await self._open(address)

    async def _open(self, address: str) -> None:
        wanted = self._config.ports
        try:
            for name, listener in self._listeners.items():
                await listener.open(address, getattr(wanted, name))
        except OSError as error:
            await self.close()
            self._say_once("edge_cannot_listen", address=address, reason=error.strerror or str(error))
            return
        self._address = address
        self._say_once("edge_listens", address=address, interface=self._config.interface)

    async def close(self) -> None:
        """Stop listening and drop every open connection."""
        self._address = ""
        for listener in self._listeners.values():
            await listener.close()

    def _say_once(self, event: str, **words: object) -> None:
        said = f"{event} {words}"
        if said != self._said:
            self._said = said
            logger.info(event, **words)
