"""The proxy: the only way from a worker to the Internet, and to nothing else.

A name is resolved once, each address is checked, and the connection goes to a checked address: a name that
answers differently the second time gains nothing. Logs hold hosts and ports, never paths or headers, which
may carry a token.
"""

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

from orchestrator.edge.addresses import HOST_NAME, Address
from orchestrator.edge.answers import Refused
from orchestrator.edge.config import EdgeConfig
from orchestrator.edge.gate import LineBudget
from orchestrator.edge.messages import RequestHead, read_head
from orchestrator.edge.relays import ask
from orchestrator.edge.resolver import Resolver
from orchestrator.edge.streams import Connection, connect, splice

logger = structlog.get_logger(__name__)

_AUTHORITY: Final = re.compile(
    r"(\[(?P<v6>[0-9a-fA-F:.]{2,45})\]|(?P<name>[^\[\]:/@]{1,253})):(?P<port>[0-9]{1,5})"
)
_MOST_ADDRESSES: Final = 4

#: Machines that can be told what to do are wanted as senders of mail.
_MAIL_PORT: Final = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a worker wants to reach."""

    host: str
    port: int
    origin: str = ""
    """Path and query of a plain request; empty for a tunnel."""

    @property
    def authority(self) -> str:
        """``host:port`` as HTTP writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, head: RequestHead) -> "Target":
        """Read it from a request.

        Raises:
            Refused: 400, it is neither a tunnel nor a request for an http address; 403, it is about mail.
        """
        if head.method == "CONNECT":
            return cls._parse(head.target)
        parts = urlsplit(head.target)
        if parts.scheme != "http" or not parts.netloc or "@" in parts.netloc:
            raise Refused(400, "This is a proxy: use CONNECT host:port, or a full http:// address.")
        authority = parts.netloc if re.search(r":[0-9]+$", parts.netloc) else f"{parts.netloc}:80"
        origin = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return cls._parse(authority, origin)

    @classmethod
    def _parse(cls, authority: str, origin: str = "") -> "Target":
        match = _AUTHORITY.fullmatch(authority)
        if match is None or not 0 < int(match["port"]) < 65_536:
            raise Refused(400, "The host to reach is not host:port.")
        if int(match["port"]) == _MAIL_PORT:
            raise Refused(403, "Nothing here needs to deliver mail: port 25 is not reached.")
        host = (match["v6"] or match["name"]).lower().rstrip(".")
        if match["name"] and HOST_NAME.fullmatch(host) is None:
            raise Refused(400, "The name of the host to reach is malformed.")
        return cls(host=host, port=int(match["port"]), origin=origin)


class EgressProxy:
    """Serves CONNECT and plain http requests."""

    def __init__(
        self, config: EdgeConfig, resolver: Resolver, own: Callable[[], Collection[Address]]
    ) -> None:
        """Prepare to serve.

        Args:
            config: what may be reached.
            resolver: asks for names.
            own: this machine's addresses at the moment.
        """
        self._config = config
        self._resolver = resolver
        self._own = own
        self._lines = LineBudget()

    async def serve(self, client: Connection) -> None:
        """Serve one connection.

        Raises:
            Refused: what was asked for does not pass.
        """
        head = await read_head(client.reader, seconds=self._config.head_seconds)
        if head is None:
            return
        target = Target.of(head)
        began = time.monotonic()
        try:
            upstream = await self._reach(target, source=client.peer)
        except Refused as refusal:
            self._log("egress_refused", client, target, reason=str(refusal), detail=refusal.detail)
            refusal.is_logged = True
            raise
        try:
            await self._exchange(head, target, client, upstream)
        finally:
            await upstream.close()
            seconds = round(time.monotonic() - began, 1)
            up, down = client.read_bytes, upstream.read_bytes
            self._log("egress_ended", client, target, seconds=seconds, bytes_up=up, bytes_down=down)

    async def _exchange(
        self, head: RequestHead, target: Target, client: Connection, upstream: Connection
    ) -> None:
        idle = self._config.idle_seconds
        if target.origin:
            raw = head.rewritten(target=target.origin, host=target.authority.removesuffix(":80"))
            await ask(head, raw, client, upstream, idle_seconds=idle)
            return
        await client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await splice(client, upstream, idle_seconds=idle)

    async def _reach(self, target: Target, *, source: str) -> Connection:
        if not self._config.is_open:
            words = "Workers of this installation reach no outside address (WORKERS_EGRESS=none)."
            raise Refused(403, f"{words} An operator can set WORKERS_EGRESS=open.")
        found = await self._resolver.resolve(target.host, source=source)
        allowed = self._allowed(target, found)
        failure = Refused(502, "it has no address")
        for address in allowed[:_MOST_ADDRESSES]:
            try:
                return await connect(str(address), target.port, seconds=self._config.connect_seconds)
            except Refused as error:
                failure = error
        raise Refused(failure.code, f"{target.authority} cannot be reached: {failure}.")

    def _allowed(self, target: Target, found: list[Address]) -> list[Address]:
        allowed, refusals = [], {}
        own = self._own()
        for address in found:
            why = self._config.allow.refusal(address, host=target.host, port=target.port, own=own)
            if why is None:
                allowed.append(address)
            else:
                refusals[why] = str(address)
        if refusals and not allowed:
            why, address_text = next(iter(refusals.items()))
            words = f"{target.authority} is {why}, and workers reach public addresses only."
            raise Refused(403, f"{words} {_remedy(target, why)}", detail=address_text)
        return allowed

    def _log(self, event: str, client: Connection, target: Target, **words: object) -> None:
        if self._lines.allows(client.peer):
            logger.info(event, source=client.peer, host=target.host, port=target.port, **words)


def _remedy(target: Target, why: str) -> str:
    if why == "not a public address":
        return f"An operator can set WORKERS_EGRESS_ALLOW={target.authority} to allow it."
    return "An operator can allow it by its address (not its name) in WORKERS_EGRESS_ALLOW."
