"""Whether the database answers, for commands that a person waits for."""

import socket
from typing import Final

from django.core.management.base import CommandError
from django.db import connection

_SECONDS: Final = 2.0


def require_database() -> None:
    """Return if somebody listens where the database should be; the pool would wait much longer to say so.

    Raises:
        CommandError: nobody does; its words say what to do.

    """
    host, port = connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432)
    if not host or host.startswith("/"):  # a socket of this machine: refused at once by itself
        return
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError as error:
        raise CommandError(
            f"The database at {host}:{port} does not answer ({error.strerror or error}). "
            "Start it with `make up`, or correct DATABASE_URL."
        ) from error
