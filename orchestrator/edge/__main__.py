"""``python -m orchestrator.edge``: serve until told to stop, with the settings of every other process."""

import asyncio
import logging.config
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from orchestrator.edge.config import EdgeConfig, EdgeMisconfigured
from orchestrator.edge.listeners import Edge
from orchestrator.edge.privileges import allow_many_connections, become
from orchestrator.envfile import find_var_dir, read_values
from orchestrator.logging import configure_structlog, logging_config, remember_password_of

logger = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parents[2]
#: Nobody's: neither of the range of units nor one of those that run the embedded servers.
_UID = 65_531
#: Names the file that is renewed at every look, for whoever watches our container (`apps/alive.py`).
_ALIVE = "ALIVE_FILE"


def main() -> int:
    """Run the edge and return the exit code."""
    try:
        config, ready = _configure()
    except EdgeMisconfigured as error:
        print(error, file=sys.stderr)
        return 2
    allow_many_connections()
    asyncio.run(_serve(config, ready=ready))
    return 0


def _configure() -> tuple[EdgeConfig, Path | None]:
    """Read what the edge needs; the secrets beside it are forgotten on return.

    Raises:
        EdgeMisconfigured: a setting is missing or malformed.
    """
    values = read_values(os.environ, ROOT)
    level, log_format = values.get("LOG_LEVEL", "INFO"), values.get("LOG_FORMAT", "json")
    logging.config.dictConfig(logging_config(log_format=log_format, level=level))
    configure_structlog()
    remember_password_of(values.get("CHANNEL_REDIS_URL", ""))
    return EdgeConfig.from_values(values), _ready_file(values)


async def _serve(config: EdgeConfig, *, ready: Path | None) -> None:
    def looked() -> None:
        if ready is not None:
            ready.touch()
        become(_UID)

    def alive() -> None:
        if sign := os.environ.get(_ALIVE):
            Path(sign).touch()

    serving = asyncio.ensure_future(Edge(config).run(looked=looked, alive=alive))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await asyncio.gather(serving, return_exceptions=True)
    if not serving.cancelled():
        serving.result()


def _ready_file(values: Mapping[str, str]) -> Path | None:
    """Return the file by which the stack learns that we are ready; None if no stack started us."""
    name = values.get("STACK_NAME")
    return find_var_dir(os.environ, ROOT) / "run" / "ready" / name if name else None


if __name__ == "__main__":
    sys.exit(main())
