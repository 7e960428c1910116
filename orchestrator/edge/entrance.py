"""``python -m orchestrator.edge.entrance``: every project's one address, whatever release runs behind it.

A process of its own: it forwards bytes and knows where to, nothing else, so a release that comes or goes and
another process of ours that dies are not felt by whoever uses a project. Its own death is: connections break
and new ones are refused until the supervisor has started it again.
"""

import asyncio
import json
import logging.config
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from orchestrator.edge.doors import Doors
from orchestrator.edge.privileges import allow_many_connections, become
from orchestrator.edge.routes import Routes, RoutesUnknown, RouteTable
from orchestrator.envfile import find_var_dir, read_values
from orchestrator.installation import entrance_socket
from orchestrator.logging import configure_structlog, logging_config, remember_password_of

logger = structlog.get_logger(__name__)

ROOT: Final = Path(__file__).resolve().parents[2]
#: Nobody's, and not that of the workers' half of the edge.
_UID: Final = 65_530
_LOOK_SECONDS: Final = 0.25


class Entrance:
    """Follows the routes, and tells whoever asks at its socket where each door leads."""

    def __init__(self, read: Callable[[], Awaitable[Routes]]) -> None:
        """Begin without a door.

        Args:
            read: returns the routes, or raises RoutesUnknown.
        """
        self.doors = Doors()
        self._read = read
        self._looking = asyncio.Lock()
        self._is_fresh = True

    async def look(self) -> bool:
        """Follow the routes as they are now; False if they cannot be read: then doors stay as they are."""
        async with self._looking:
            try:
                routes = await self._read()
            except RoutesUnknown as error:
                if self._is_fresh:
                    logger.warning("entrance_keeps_its_map", reason=str(error))
                self._is_fresh = False
                return False
            if not self._is_fresh:
                logger.info("entrance_reads_again")
            self._is_fresh = True
            await self.doors.follow(routes)
            return True

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Follow until cancelled.

        Args:
            ready: called once, after the first look that could read the routes.
        """
        try:
            while not await self.look():
                await asyncio.sleep(_LOOK_SECONDS)
            ready()
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                await self.look()
        finally:
            await self.doors.close()

    async def tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Look, so that nobody is told what was true before, and say where the doors lead."""
        told = {"is_fresh": await self.look(), "doors": self.doors.report()}
        with suppress(OSError):
            writer.write(json.dumps(told).encode())
            await writer.drain()
        writer.close()


def main() -> int:
    """Run it and return the exit code."""
    values = read_values(os.environ, ROOT)
    level, log_format = values.get("LOG_LEVEL", "INFO"), values.get("LOG_FORMAT", "json")
    logging.config.dictConfig(logging_config(log_format=log_format, level=level))
    configure_structlog()
    url = values.get("DATABASE_URL", "")
    if not url:
        print("DATABASE_URL is not set", file=sys.stderr)
        return 2
    remember_password_of(url)
    allow_many_connections()
    asyncio.run(_serve(url, var_dir=find_var_dir(os.environ, ROOT), name=os.environ.get("STACK_NAME", "")))
    return 0


async def _serve(database_url: str, *, var_dir: Path, name: str) -> None:
    table = RouteTable(database_url)
    entrance = Entrance(table.read)
    place = entrance_socket(var_dir)
    place.unlink(missing_ok=True)  # of one that was killed
    asking = await asyncio.start_unix_server(entrance.tell, place)
    place.chmod(0o600)

    def ready() -> None:
        if name:
            (var_dir / "run" / "ready" / name).touch()
        become(_UID)

    serving = asyncio.ensure_future(entrance.run(ready=ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await asyncio.gather(serving, return_exceptions=True)
    asking.close()
    await table.close()
    if not serving.cancelled():
        serving.result()


if __name__ == "__main__":
    sys.exit(main())
