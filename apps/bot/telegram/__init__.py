"""Telegram's Bot API, and all that is known of it: nothing else imports the ``telegram`` library."""

from apps.bot.telegram.client import BotIdentity, TelegramClient
from apps.bot.telegram.errors import (
    AnswerLate,
    ButtonsRefused,
    ChatBlocked,
    ChatGone,
    FloodWait,
    Interrupted,
    MarkupRefused,
    MessageGone,
    OutcomeUnknown,
    PollingConflict,
    Refused,
    TapExpired,
    TelegramError,
    TelegramUnavailable,
    TokenRefused,
)

__all__ = [
    "AnswerLate",
    "BotIdentity",
    "ButtonsRefused",
    "ChatBlocked",
    "ChatGone",
    "FloodWait",
    "Interrupted",
    "MarkupRefused",
    "MessageGone",
    "OutcomeUnknown",
    "PollingConflict",
    "Refused",
    "TapExpired",
    "TelegramClient",
    "TelegramError",
    "TelegramUnavailable",
    "TokenRefused",
]
