"""Telegram's side of a webhook: updates in order, each again until it is taken."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tests.telegram_server.faults import Faults
from tests.telegram_server.state import Bot

RETRY_SECONDS: Final = 0.2
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Pusher(threading.Thread):
    """Pushes what waits at every bot that has a webhook."""

    def __init__(
        self,
        bots: dict[str, Bot],
        *,
        names: Mapping[str, str],
        faults: Faults,
        is_stopping: threading.Event,
    ) -> None:
        """Prepare.

        Args:
            bots: token → bot.
            names: host of a webhook → base URL of the server that answers for it behind its TLS.
            faults: whether updates come twice, or the newest first.
            is_stopping: ends it.

        """
        super().__init__(daemon=True)
        self._bots, self._names, self._faults, self._is_stopping = bots, names, faults, is_stopping

    def run(self) -> None:
        """Push until the end; what is refused keeps its place and is pushed again."""
        while not self._is_stopping.wait(0.02):
            for bot in list(self._bots.values()):
                if bot.webhook.url and bot.updates and not self._push_next(bot):
                    time.sleep(RETRY_SECONDS)

    def _push_next(self, bot: Bot) -> bool:
        with bot.lock:
            update = bot.updates[-1 if self._faults.are_updates_reversed else 0]
            is_early = update is not bot.updates[0]
        if not self._push(bot, update):
            return False
        self._faults.reversals += is_early
        if self._faults.are_updates_doubled:
            self._faults.are_updates_doubled = False
            if self._push(bot, update):
                self._faults.doubled.append(update)
        with bot.lock:
            if update in bot.updates:
                bot.updates.remove(update)
        return True

    def _push(self, bot: Bot, update: dict[str, Any]) -> bool:
        asked = urlsplit(bot.webhook.url)
        base = self._names.get(asked.hostname or "")
        if base is None:
            bot.webhook.last_error = "Failed to resolve host: Name or service not known"
            return False
        headers = {"Content-Type": "application/json", "Host": asked.netloc}
        if bot.webhook.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = bot.webhook.secret
        request = urllib.request.Request(base + asked.path, json.dumps(update).encode(), headers)
        bot.webhook.pushes.append(update["update_id"])
        try:
            with _DIRECT.open(request, timeout=5) as answer:
                return 200 <= int(answer.status) < 300
        except (urllib.error.URLError, OSError) as error:
            bot.webhook.last_error = f"Wrong response from the webhook: {error}"
            return False
