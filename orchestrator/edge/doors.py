"""The projects' own ports: each is listened at as long as it is a project's, whatever runs behind it."""

import asyncio
import os
from typing import Any, Final

import structlog

from orchestrator.edge.absence import say_that_nothing_runs
from orchestrator.edge.answers import Refused
from orchestrator.edge.gate import Gate, Limits
from orchestrator.edge.listeners import Listener
from orchestrator.edge.routes import Routes
from orchestrator.edge.streams import Connection, connect, splice

logger = structlog.get_logger(__name__)

LISTENER: Final = "entrance"
HOST: Final = "127.0.0.1"
#: Of one project; everybody comes from loopback.
LIMITS: Final = Limits(total=512, per_source=512)
#: A stream without a word for so long is over.
_IDLE_SECONDS: Final = 3_600.0
_CONNECT_SECONDS: Final = 5.0
#: A service that ended is started again; whoever comes in between waits a moment instead of being sent away.
_PATIENCE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.05


class Door:
    """One project's port.

    Attributes:
        leads_to: port of the release behind it; None while nothing runs.
        problem: why nobody listens at it; empty if somebody does.
    """

    def __init__(self, port: int) -> None:
        """Describe a door that is closed."""
        self.leads_to: int | None = None
        self.problem = ""
        self._port = port
        self._is_open = False
        self._listener = Listener(name=LISTENER, serve=self._serve, gate=Gate(limits=LIMITS))

    async def open(self) -> None:
        """Listen, unless we do; a stranger at the port is written down, and the next look tries again."""
        if self._is_open:
            return
        try:
            await self._listener.open(HOST, self._port)
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else type(error).__name__
            if problem != self.problem:
                logger.warning("entrance_cannot_listen", port=self._port, reason=problem)
            self.problem = problem
            return
        self._is_open, self.problem = True, ""

    async def close(self) -> None:
        """Listen no longer and drop every connection."""
        self._is_open = False
        await self._listener.close()

    async def _serve(self, client: Connection) -> None:
        release = await self._reach()
        if release is None:
            await say_that_nothing_runs(client)
            return
        try:
            await splice(client, release, idle_seconds=_IDLE_SECONDS)
        finally:
            await release.close()

    async def _reach(self) -> Connection | None:
        """Connect to the release behind the door; None when there is none, or it does not come back soon."""
        until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        # Asked anew each time: another release may have taken over meanwhile.
        while (port := self.leads_to) is not None:
            try:
                return await connect(HOST, port, seconds=_CONNECT_SECONDS)
            except Refused:
                if asyncio.get_running_loop().time() > until:
                    return None
            await asyncio.sleep(_PAUSE_SECONDS)
        return None


class Doors:
    """All of them, opened, led elsewhere and closed as the routes say."""

    def __init__(self) -> None:
        """Begin with none."""
        self._doors: dict[int, Door] = {}

    async def follow(self, routes: Routes) -> None:
        """Bring the doors to where the routes say that they lead."""
        for port in [port for port in self._doors if port not in routes]:
            await self._doors.pop(port).close()
        for port, leads_to in routes.items():
            door = self._doors.setdefault(port, Door(port))
            if door.leads_to != leads_to:
                logger.info("entrance_leads", port=port, to=leads_to)
            door.leads_to = leads_to
            await door.open()

    def report(self) -> dict[str, dict[str, Any]]:
        """Return where each of them leads, for whoever asks."""
        return {
            str(port): {"leads_to": door.leads_to, "problem": door.problem}
            for port, door in self._doors.items()
        }

    async def close(self) -> None:
        """Close all of them."""
        await self.follow({})
