"""Starts the bot: `python -m bot`; SIGTERM and SIGINT end it in good order."""

import asyncio
import logging
import signal
import sys

from bot.service import TokenRefused, run
from bot.settings import Settings, SettingsInvalid


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)


def main() -> int:
    """Run until stopped; returns the exit code."""
    try:
        settings = Settings.from_environment()
        logging.basicConfig(level=settings.log_level)
        # The client of Telegram logs addresses, and the token is a part of them.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        asyncio.run(_main(settings))
    except (SettingsInvalid, TokenRefused) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
