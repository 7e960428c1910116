"""What Telegram refuses, and what may go wrong on the way to it; none of it ever holds a token.

::

    TelegramError
    ├── TelegramUnavailable   it was not reached: nothing happened
    ├── OutcomeUnknown        it was reached: something may have happened
    │   └── AnswerLate        it is silent
    ├── FloodWait             nothing happened, and nothing will before retry_after
    ├── Interrupted           we hung up ourselves, to stop
    └── the others            its final word on this request
"""

import re
from typing import Any, Final

from apps.errors import OrchestratorError


class TelegramError(OrchestratorError):
    """Telegram could not do it."""

    code = "telegram_error"


class TelegramUnavailable(TelegramError):
    """Telegram is not reached."""

    code = "telegram_unavailable"


class OutcomeUnknown(TelegramError):
    """Telegram did not say whether it was done."""

    code = "telegram_outcome_unknown"


class AnswerLate(OutcomeUnknown):
    """Telegram does not answer."""

    code = "telegram_answer_late"


class FloodWait(TelegramError):
    """Telegram wants a pause."""

    code = "telegram_flood_wait"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Telegram wants a pause of {retry_after:g} s.")
        self.retry_after = retry_after  # seconds


class Interrupted(TelegramError):
    """We stopped waiting."""

    code = "telegram_interrupted"


class TokenRefused(TelegramError):
    """Telegram knows no bot with this token."""

    code = "telegram_token_refused"


class PollingConflict(TelegramError):
    """Somebody else asks Telegram for this bot's updates, or a webhook gets them."""

    code = "telegram_polling_conflict"


class ChatBlocked(TelegramError):
    """The person blocked the bot."""

    code = "chat_blocked"


class ChatGone(TelegramError):
    """Telegram knows no such chat any more."""

    code = "chat_gone"


class MarkupRefused(TelegramError):
    """Telegram cannot read the markup."""

    code = "markup_refused"


class ButtonsRefused(TelegramError):
    """Telegram does not take one of the buttons."""

    code = "buttons_refused"


class MessageGone(TelegramError):
    """There is no such message any more, or it cannot be changed."""

    code = "message_gone"


class NotModified(TelegramError):
    """The message looks like that already."""

    code = "message_not_modified"


class TapExpired(TelegramError):
    """Telegram waits no longer for an answer to this tap."""

    code = "tap_expired"


class Refused(TelegramError):
    """Telegram refuses this request."""

    code = "telegram_refused"


#: Longer pauses are asked for again.
MAX_PAUSE_SECONDS: Final = 3_600.0
_WORDS: Final[tuple[tuple[str, type[TelegramError]], ...]] = (
    ("bot was blocked by the user", ChatBlocked),
    ("bot can't initiate conversation", ChatBlocked),
    ("chat not found", ChatGone),
    ("user is deactivated", ChatGone),
    ("bot was kicked", ChatGone),
    ("peer_id_invalid", ChatGone),
    ("upgraded to a supergroup", ChatGone),
    ("can't parse entities", MarkupRefused),
    ("message is not modified", NotModified),
    ("message to edit not found", MessageGone),
    ("message to delete not found", MessageGone),
    ("message can't be edited", MessageGone),
    ("message_id_invalid", MessageGone),
    ("query is too old", TapExpired),
    ("query id is invalid", TapExpired),
    ("inline keyboard button", ButtonsRefused),
    ("button_", ButtonsRefused),
)
_TOKEN: Final = re.compile(r"\d{6,12}:[A-Za-z0-9_-]{20,}")


def refusal(status: int, answer: Any) -> TelegramError:
    """Return the error that an answer of Telegram means.

    Args:
        status: of HTTP, not a 2xx.
        answer: the decoded body, whatever it is.

    """
    body = answer if isinstance(answer, dict) else {}
    words = without_token(str(body.get("description") or f"HTTP {status}"))[:500]
    if status == 429:
        return FloodWait(_pause(body.get("parameters")))
    if status in (401, 404):
        return TokenRefused()
    if status == 409:
        return PollingConflict(words)
    if status >= 500:
        return OutcomeUnknown(f"Telegram answered {words}.")
    said = words.lower()
    kind = next((error for text, error in _WORDS if text in said), Refused)
    return kind(words)


def without_token(text: str) -> str:
    """Return a text in which nothing looks like a bot's token."""
    return _TOKEN.sub("***", text)


def _pause(parameters: Any) -> float:
    wanted = parameters.get("retry_after") if isinstance(parameters, dict) else None
    seconds = float(wanted) if isinstance(wanted, int | float) and wanted > 0 else 1.0
    return min(seconds, MAX_PAUSE_SECONDS)
