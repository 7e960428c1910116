"""``python -m orchestrator.edge.front``: the way in for people, where the web listens at no port.

A process of its own: what workers do to the other half of the edge is not felt here. It holds no secret.
"""

import asyncio
import logging.config
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

import structlog

from orchestrator.edge.config import EdgeMisconfigured, Upstream
from orchestrator.edge.gate import Gate, Limits
from orchestrator.edge.listeners import Listener
from orchestrator.edge.relays import FrontRelay
from orchestrator.logging import configure_structlog, logging_config

logger = structlog.get_logger(__name__)

#: Behind a proxy everybody has its address; who follows a task holds a connection all the time.
LIMITS: Final = Limits(total=1_024, per_source=1_024)
_PORT: Final = 8000


def main() -> int:
    """Run it and return the exit code."""
    level, log_format = os.environ.get("LOG_LEVEL") or "INFO", os.environ.get("LOG_FORMAT") or "json"
    logging.config.dictConfig(logging_config(log_format=log_format, level=level))
    configure_structlog()
    try:
        listener = listener_of(os.environ)
    except EdgeMisconfigured as error:
        print(error, file=sys.stderr)
        return 2
    asyncio.run(_serve(listener))
    return 0


def listener_of(values: Mapping[str, str]) -> Listener:
    """Return what listens.

    Args:
        values: WEB_URL names the web, ``unix:///path`` or ``http://host:port``.

    Raises:
        EdgeMisconfigured: it does not.
    """
    web = Upstream.parse(values.get("WEB_URL", ""), setting="WEB_URL")
    return Listener(name="front", serve=FrontRelay(web).serve, gate=Gate(limits=LIMITS))


async def _serve(listener: Listener) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    # Which of the machine's addresses lead here is said where the port is published.
    await listener.open("0.0.0.0", _PORT)
    logger.info("front_listens", port=listener.port)
    await stopped.wait()
    await listener.close()


if __name__ == "__main__":
    sys.exit(main())
