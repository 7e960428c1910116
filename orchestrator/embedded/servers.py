"""The port that the embedded servers share: what the launcher has to know about one of them."""

from pathlib import Path
from typing import Protocol

from orchestrator.embedded.processes import Identity


class ServerFailed(RuntimeError):
    """An embedded server did not start; the message ends with the last lines of its log."""


class Server(Protocol):
    """One embedded server. The launcher calls ``prepare``, then ``launch``, then asks ``is_ready``."""

    name: str
    home: Path
    """Its own directory under the state directory, 0700, owned by the uid it runs under."""

    def prepare(self) -> None:
        """Create what the first start needs; repairs what a crash half made; harmless to repeat."""

    def launch(self, *, port: int, log: Path) -> Identity:
        """Start the server on a loopback port."""

    def find(self) -> Identity | None:
        """Find a running server of this home that nobody recorded (its launcher was killed meanwhile)."""

    def is_ready(self, *, port: int, identity: Identity) -> bool:
        """Tell whether this very process answers requests."""

    def stop(self, identity: Identity) -> bool:
        """End it cleanly, then by force; True once it has ended."""

    def url(self, *, port: int) -> str:
        """Return the connection URL, which holds the password."""
