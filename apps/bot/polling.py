"""Updates by polling: one after the other, each until it is handled, from one process at a time."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.db import Error, close_old_connections

from apps.bot import troubles
from apps.bot.telegram import (
    FloodWait,
    Interrupted,
    PollingConflict,
    TelegramClient,
    TelegramError,
    TokenRefused,
)

logger = logging.getLogger(__name__)

CONFLICT_TROUBLE: Final = "telegram_polling_conflict"
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_TOKEN_PAUSE_SECONDS: Final = 60.0

Handle = Callable[[Mapping[str, Any]], None]


class Poller:
    """Asks for updates until it is stopped; whoever runs it holds the lease."""

    def __init__(self, *, client: TelegramClient, handle: Handle, stopping: threading.Event) -> None:
        """Prepare.

        Args:
            client: connection to Telegram, of this thread.
            handle: takes one update as Telegram writes it, exactly once per ``update_id``; if it raises,
                the same update is wanted again.
            stopping: ends it; ``client.interrupt`` ends the wait that is going on.

        """
        self._client, self._handle, self._stopping = client, handle, stopping
        self._offset: int | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._has_trouble = True  # one of an earlier process may still be open

    def run(self) -> None:
        """Poll until stopped."""
        is_prepared = False
        while not self._stopping.is_set():
            try:
                if not is_prepared:
                    self._take_over_from_webhook()
                    is_prepared = True
                updates = self._client.get_updates(
                    offset=self._offset, wait_seconds=settings.BOT_POLL_SECONDS
                )
            except Interrupted:
                return
            except TelegramError as error:
                is_prepared = is_prepared and not isinstance(error, PollingConflict)
                self._bear(error)
                continue
            self._recover()
            self._take(updates)

    def _take_over_from_webhook(self) -> None:
        url, _ = self._client.webhook()
        if url:
            logger.warning("A webhook was set; it is removed, because TELEGRAM_MODE is polling")
            self._client.delete_webhook()

    def _take(self, updates: Sequence[Mapping[str, Any]]) -> None:
        numbered = [update for update in updates if isinstance(update.get("update_id"), int)]
        for update in sorted(numbered, key=_number):
            if self._stopping.is_set():
                return  # it was not confirmed, so it comes again
            close_old_connections()
            try:
                self._handle(update)
            except Exception as error:  # whatever it is, others behind it wait: order is kept
                logger.warning("An update was not taken: %s", type(error).__name__)
                self._wait(self._pause_seconds)
                return
            self._offset = max(self._offset or 0, _number(update) + 1)
        close_old_connections()

    def _bear(self, error: TelegramError) -> None:
        if isinstance(error, PollingConflict):
            words = (
                "Somebody else asks Telegram for this bot's updates. Stop the other process, or take a bot"
                f" of your own from @BotFather. Telegram says: {error.message}"
            )
            self._report(CONFLICT_TROUBLE, error, words)
        elif isinstance(error, TokenRefused):
            self._report(troubles.TOKEN_TROUBLE, error, troubles.token_words(error.message))
            self._wait(_TOKEN_PAUSE_SECONDS)
            return
        else:
            logger.warning("Telegram gives no updates: %s", error.message)
        self._wait(error.retry_after if isinstance(error, FloodWait) else self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _recover(self) -> None:
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        if self._has_trouble:
            self._has_trouble = not self._in_database(
                lambda: [troubles.resolve(key) for key in (CONFLICT_TROUBLE, troubles.TOKEN_TROUBLE)]
            )

    def _report(self, key: str, error: TelegramError, words: str) -> None:
        logger.error("%s", words)
        self._has_trouble = True
        self._in_database(lambda: troubles.report(key=key, code=error.error_code, message=words))

    def _in_database(self, act: Callable[[], object]) -> bool:
        close_old_connections()
        try:
            act()
        except Error as error:
            logger.warning("The database does not answer: %s", type(error).__name__)
            return False
        finally:
            close_old_connections()
        return True

    def _wait(self, seconds: float) -> None:
        self._stopping.wait(seconds)


def _number(update: Mapping[str, Any]) -> int:
    return int(update["update_id"])
