"""The two ways to the control plane: the REST API, request by request, and the result channel, as bytes."""

from functools import partial
from typing import Final
from urllib.parse import unquote

import structlog

from orchestrator.edge.answers import Refused
from orchestrator.edge.config import EdgeConfig, Upstream
from orchestrator.edge.messages import RequestHead, read_head
from orchestrator.edge.streams import Connection, chunks, connect, connect_socket, exactly, splice

logger = structlog.get_logger(__name__)

#: A worker has no business with the admin, its login page or anything else the web serves.
_PATHS: Final = ("/api/", "/health/")
_WEB_SECONDS: Final = 10.0


class ApiRelay:
    """Passes requests for the REST API on, under the API's own name and with the worker's true address.

    One request per connection: the next one is read as strictly as the first.
    """

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config

    async def serve(self, client: Connection) -> None:
        """Serve one connection.

        Raises:
            Refused: what was asked for does not pass.
        """
        head = await read_head(client.reader, seconds=self._config.head_seconds)
        if head is None:
            return
        # A web server behind ours may resolve dots, whichever way they are spelled.
        if not head.target.startswith(_PATHS) or ".." in unquote(head.target.partition("?")[0]):
            raise Refused(403, f"Workers reach {' and '.join(_PATHS)} of the control plane, nothing else.")
        api = self._config.api
        raw = head.rewritten(target=head.target, host=api.authority, source=client.peer)
        upstream = await reach(api, seconds=self._config.connect_seconds, what="The control plane's API")
        try:
            await ask(head, raw, client, upstream, idle_seconds=self._config.idle_seconds)
        finally:
            await upstream.close()


class FrontRelay:
    """Passes people's requests on, each with the address it came from, whatever it says of itself.

    One request per connection here, too: so an address in the log or of a limit is nobody's invention.
    """

    def __init__(self, web: Upstream, *, idle_seconds: float = 900.0) -> None:
        self._web = web
        self._idle_seconds = idle_seconds

    async def serve(self, client: Connection) -> None:
        """Serve one connection.

        Raises:
            Refused: what was asked for is no request, or the web is away.
        """
        head = await read_head(client.reader)
        if head is None:
            return
        # The web itself decides which names it answers to.
        host = next(iter(head.values("host")), "")
        raw = head.rewritten(target=head.target, host=host, source=client.peer)
        upstream = await reach(self._web, seconds=_WEB_SECONDS, what="The control plane")
        try:
            await ask(head, raw, client, upstream, idle_seconds=self._idle_seconds)
        finally:
            await upstream.close()


class ChannelRelay:
    """Passes bytes to and from the result channel, which itself knows each worker's user and keys."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config

    async def serve(self, client: Connection) -> None:
        """Serve one connection; a channel that cannot be reached shows as a closed connection."""
        seconds = self._config.connect_seconds
        upstream = await reach(self._config.channel, seconds=seconds, what="The result channel")
        try:
            await splice(client, upstream, idle_seconds=self._config.idle_seconds)
        finally:
            await upstream.close()


async def ask(
    head: RequestHead, raw: bytes, client: Connection, upstream: Connection, *, idle_seconds: float
) -> None:
    """Pass one request on and its answer back.

    Args:
        head: what the client sent.
        raw: what the server is sent instead.
        client: who asks; its body follows the head.
        upstream: the server.
        idle_seconds: the exchange ends when nothing moved for so long.
    """
    length = head.body_bytes
    await upstream.write(raw)
    body = partial(chunks, client, upstream) if length is None else partial(exactly, client, upstream, length)
    await splice(client, upstream, upwards=body, idle_seconds=idle_seconds)


async def reach(server: Upstream, *, seconds: float, what: str) -> Connection:
    """Connect to a server of ours.

    Raises:
        Refused: 502 or 504, in words for strangers; why stands in our log.
    """
    tls_name = server.host if server.has_tls else ""
    try:
        if server.path:
            return await connect_socket(server.path, seconds=seconds)
        return await connect(server.host, server.port, seconds=seconds, tls_name=tls_name)
    except Refused as error:
        logger.warning("upstream_unreachable", upstream=server.path or server.authority, reason=str(error))
        raise Refused(error.code, f"{what} is not reachable at the moment; try again.") from error
