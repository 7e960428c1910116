"""The entrance of this machine: the process that listens at the projects' ports, asked where they lead.

It finds out by itself which release is active; being asked makes it look at once.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from apps.infra.targets.base import TargetUnavailable

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 4 * 1_048_576


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """One project's port, as it was observed."""

    leads_to: int | None  # the port of a release; None: nothing runs
    problem: str = ""  # why nobody listens there


class Entrance(Protocol):
    """Tells where a project's port leads."""

    def __call__(self, port: int) -> Door:
        """Look at one port.

        Raises:
            TargetUnavailable: nobody can tell.
        """
        ...


def nobody(port: int) -> Door:
    """Stand for an entrance that does not run.

    Raises:
        TargetUnavailable: always.
    """
    raise TargetUnavailable(f"Nobody listens at the projects' ports, such as {port}.")


class LocalEntrance:
    """The ``Entrance`` over its socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, port: int) -> Door:
        """Look at one port."""
        told = self.ask().get(str(port))
        if told is None:
            return Door(leads_to=None)  # it has not heard of the project yet
        return Door(leads_to=told.get("leads_to"), problem=str(told.get("problem", "")))

    def ask(self) -> dict[str, Any]:
        """Return where every port leads.

        Raises:
            TargetUnavailable: the entrance does not answer.
        """
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_SECONDS)
                client.connect(str(self._path))
                told = b"".join(iter(lambda: client.recv(65_536), b""))[:_MOST_BYTES]
            doors = json.loads(told)["doors"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TargetUnavailable("The entrance to the projects does not answer.") from error
        return doors if isinstance(doors, dict) else {}
