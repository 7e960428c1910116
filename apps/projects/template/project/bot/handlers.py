"""What the bot answers. Every function here becomes known to Telegram in `register`."""

import logging
from typing import Any

from telegram import Update
from telegram.ext import Application, CommandHandler, ContextTypes, MessageHandler, filters

from bot import about

logger = logging.getLogger(__name__)

GREETING = f"Hello! This is {about.NAME}. /help lists what I can do."
HELP = "/start - say hello\n/help - list the commands"
UNKNOWN = "I do not know what to do with this. /help lists what I can do."
BROKEN = "Something went wrong on my side. Please try again later."


async def start(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    """Greet."""
    await _reply(update, GREETING)


async def show_help(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    """List the commands."""
    await _reply(update, HELP)


async def answer_unknown(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
    """Say that a message was not understood, so that nobody waits in silence."""
    await _reply(update, UNKNOWN)


async def answer_failure(update: object, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Log what broke and tell the person who caused it."""
    logger.error("A handler failed", exc_info=context.error)
    if isinstance(update, Update):
        await _reply(update, BROKEN)


def register(application: Application[Any, Any, Any, Any, Any, Any]) -> None:
    """Install the handlers; the first one that fits answers."""
    application.add_handler(CommandHandler("start", start))
    application.add_handler(CommandHandler("help", show_help))
    application.add_handler(MessageHandler(filters.ALL & filters.UpdateType.MESSAGE, answer_unknown))
    application.add_error_handler(answer_failure)


async def _reply(update: Update, text: str) -> None:
    if update.effective_message is not None:
        await update.effective_message.reply_text(text)
