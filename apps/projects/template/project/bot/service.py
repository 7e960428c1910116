"""Keeps the bot running: it polls Telegram and shows a sign of life while Telegram answers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from telegram import Update
from telegram.error import InvalidToken, NetworkError
from telegram.ext import Application, ApplicationBuilder

from bot import handlers
from bot.settings import Settings
from shared import heartbeat

logger = logging.getLogger(__name__)

BEAT_SECONDS = 20.0
RETRY_SECONDS = 5.0


class TokenRefused(RuntimeError):
    """Telegram does not know the token."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until told to stop.

    Raises:
        TokenRefused: trying again would not help.
    """
    if not settings.token:
        logger.warning("There is no TELEGRAM_BOT_TOKEN: idle, because APP_ENV is development")
        await _idle(settings, stop)
        return
    application = _build(settings)
    if not await _connected(application, stop):
        return
    async with _polling(application):
        while not stop.is_set():
            await _beat_if_answered(settings, application)
            await _wait(stop, BEAT_SECONDS)


def _build(settings: Settings) -> Application[Any, Any, Any, Any, Any, Any]:
    application = (
        ApplicationBuilder()
        .token(settings.token)
        .base_url(f"{settings.api_url}/bot")
        .base_file_url(f"{settings.api_url}/file/bot")
        .build()
    )
    handlers.register(application)
    return application


async def _connected(application: Application[Any, Any, Any, Any, Any, Any], stop: asyncio.Event) -> bool:
    """Reach Telegram for the first time, however long it takes; False when told to stop before."""
    while not stop.is_set():
        try:
            await application.initialize()
        except InvalidToken as error:
            raise TokenRefused("Telegram refuses TELEGRAM_BOT_TOKEN") from error
        except NetworkError as error:
            logger.warning("Telegram does not answer yet: %s", type(error).__name__)
            await _wait(stop, RETRY_SECONDS)
        else:
            return True
    return False


@contextlib.asynccontextmanager
async def _polling(application: Application[Any, Any, Any, Any, Any, Any]) -> AsyncIterator[None]:
    assert application.updater is not None
    await application.start()
    await application.updater.start_polling(allowed_updates=Update.ALL_TYPES)
    logger.info("The bot answers as @%s", application.bot.username)
    try:
        yield
    finally:
        await application.updater.stop()
        await application.stop()
        await application.shutdown()


async def _beat_if_answered(
    settings: Settings, application: Application[Any, Any, Any, Any, Any, Any]
) -> None:
    """Show life only while it polls and Telegram answers: a deaf bot must not look well."""
    assert application.updater is not None
    try:
        await application.bot.get_me()
    except NetworkError as error:
        logger.warning("Telegram does not answer: %s", type(error).__name__)
        return
    if application.updater.running:
        heartbeat.beat(settings.data_dir)


async def _idle(settings: Settings, stop: asyncio.Event) -> None:
    while not stop.is_set():
        heartbeat.beat(settings.data_dir)
        await _wait(stop, BEAT_SECONDS)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
