"""The bot's process: it holds the lease, has updates handled, and hints at what is due."""

import logging
import threading
from collections.abc import Callable
from typing import Final

import psycopg
from django.conf import settings

from apps import alive
from apps.bot import chat_tasks, composition
from apps.bot.polling import Handle, Poller
from apps.bot.telegram import TelegramError
from apps.bot.ticking import Ticker
from apps.enqueue import enqueue
from apps.lease import Lease

logger = logging.getLogger(__name__)

POLLING, WEBHOOK = "polling", "webhook"
WEBHOOK_PATH: Final = "/webhooks/telegram"
WATCH_SECONDS: Final = 1.0
_CHECK_SECONDS: Final = 60.0
#: How long a predecessor may poll on without knowing that its lease is lost: it looks every WATCH_SECONDS.
_GRACE_SECONDS: Final = 2.0

Menu = Callable[[str], dict[str, str]]


class LeaseLost(Exception):
    """The database session that held the lease ended; another process may be the bot now."""


class BotProcess:
    """One run of the bot, until ``stop`` or until its lease is lost."""

    def __init__(self, *, handle: Handle, menu: Menu) -> None:
        """Prepare.

        Args:
            handle: takes one update as Telegram writes it.
            menu: returns the commands in a language, name → what it does.

        """
        self._client = composition.new_client()
        self._lease = Lease(f"runbot:{settings.TELEGRAM_BOT_TOKEN.partition(':')[0]}")
        self._handle, self._menu = handle, menu
        self._stopping = threading.Event()
        self._is_lost = False

    def stop(self) -> None:
        """End soon, after the update that is being handled; callable from a signal's handler."""
        self._stopping.set()
        self._client.interrupt()

    def run(self) -> None:
        """Be the bot.

        Raises:
            LeaseLost: start anew, and wait for the lease.

        """
        try:
            if not self._take_lease():
                return
            threads = [
                threading.Thread(target=self._watch, name="lease", daemon=True),
                Ticker(stopping=self._stopping),
            ]
            for thread in threads:
                thread.start()
            try:
                self._serve()
            finally:
                self.stop()
                for thread in threads:
                    thread.join(timeout=5)
            if self._is_lost:
                raise LeaseLost
        finally:
            self._lease.release()
            self._client.close()

    def _take_lease(self) -> bool:
        has_waited = False
        while not self._stopping.is_set():
            try:
                is_ours = self._lease.try_take()
            except psycopg.OperationalError as error:
                logger.warning("The database does not answer: %s", type(error).__name__)
                is_ours = False
            else:
                if not is_ours and not has_waited:
                    logger.warning("Another process is the bot; this one waits until that ends")
                has_waited = has_waited or not is_ours
            if is_ours:
                logger.info("This process is the bot now, by %s", settings.TELEGRAM_MODE)
                return not (has_waited and self._stopping.wait(_GRACE_SECONDS))
            self._stopping.wait(WATCH_SECONDS)
        return False

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            if self._lease.is_held():
                alive.renew()
            else:
                self._is_lost = True
                self.stop()

    def _serve(self) -> None:
        enqueue(chat_tasks.note_name)
        if settings.TELEGRAM_MODE == WEBHOOK:
            self._keep_webhook()
            return
        self._try(self._show_menu)
        Poller(client=self._client, handle=self._handle, stopping=self._stopping).run()

    def _keep_webhook(self) -> None:
        """See that Telegram calls us; the web process takes what it says."""
        self._try(self._show_menu)
        pause, said = WATCH_SECONDS, ""
        while not self._stopping.is_set():
            if self._try(self._set_webhook):
                break
            self._stopping.wait(pause)
            pause = min(2 * pause, _CHECK_SECONDS)
        while not self._stopping.wait(_CHECK_SECONDS):
            said = self._check_webhook(said)

    def _set_webhook(self) -> None:
        self._client.set_webhook(_webhook_url(), secret=composition.webhook_secret())
        logger.info("Telegram calls %s", _webhook_url())

    def _check_webhook(self, said: str) -> str:
        """Set the webhook again if somebody else changed it; say once what Telegram finds wrong with it."""
        try:
            url, problem = self._client.webhook()
            if url != _webhook_url():
                self._set_webhook()
        except TelegramError as error:
            logger.warning("Telegram does not tell of the webhook: %s", error.message)
            return said
        if problem and problem != said:
            logger.warning("Telegram cannot call the webhook: %s", problem)
        return problem

    def _show_menu(self) -> None:
        for code, _name in settings.LANGUAGES:
            # Those whose language is none of ours see the menu without a language.
            language = "" if code == settings.LANGUAGE_CODE else code
            self._client.set_commands(self._menu(code), language=language)

    def _try(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except TelegramError as error:
            logger.warning("Telegram did not take it: %s", error.message)
            return False
        return True


def _webhook_url() -> str:
    return f"{settings.TELEGRAM_WEBHOOK_URL.rstrip('/')}{WEBHOOK_PATH}"
