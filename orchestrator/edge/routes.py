"""Which release stands behind each project's port at the moment: read from the database, again and again."""

import asyncio
from collections.abc import Mapping
from typing import Final

import psycopg

#: A project's port → the port of the release that answers there; none while nothing runs.
Routes = Mapping[int, int | None]

#: A release that has answered by itself takes over before it counts as live: that it can be reached where
#: people reach it is the last thing that is looked at. If that fails, the one that is live has it back.
ROUTES: Final = """
    SELECT door.port, (
        SELECT own.port
        FROM infra_servicedeployment AS release
        JOIN infra_portallocation AS own ON own.deployment_id = release.id
        WHERE release.project_id = door.project_id
          AND release.service_name = door.service_name
          AND release.server_id = door.server_id
          AND (release.status = 'live' OR release.status = 'starting' AND release.answered_at IS NOT NULL)
        ORDER BY release.status = 'starting' DESC
        LIMIT 1)
    FROM infra_portallocation AS door
    JOIN infra_server AS server ON server.id = door.server_id
    WHERE door.deployment_id IS NULL AND server.kind = 'local'
"""
_SECONDS: Final = 3.0


class RoutesUnknown(Exception):
    """The database does not answer; what was known before is still the best that is known."""


class RouteTable:
    """Reads the routes over one connection, which is made again when it broke."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: psycopg.AsyncConnection[tuple[int, int | None]] | None = None

    async def read(self) -> Routes:
        """Return the routes as they are now.

        Raises:
            RoutesUnknown: the database does not answer.
        """
        try:
            async with asyncio.timeout(_SECONDS):
                if self._connection is None:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, application_name="entrance"
                    )
                answer = await self._connection.execute(ROUTES)
                return dict(await answer.fetchall())
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self.close()
            raise RoutesUnknown(type(error).__name__) from error

    async def close(self) -> None:
        """Forget the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
