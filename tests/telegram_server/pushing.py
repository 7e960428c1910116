"""Telegram's side of a webhook: updates in order, each again until it is taken."""

import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from tests.telegram_server.state import Bot

RETRY_SECONDS = 0.2
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Pusher(threading.Thread):
    """Pushes what waits at every bot that has a webhook."""

    def __init__(self, bots: dict[str, Bot], is_stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._bots, self._is_stopping = bots, is_stopping

    def run(self) -> None:
        while not self._is_stopping.wait(0.02):
            for bot in list(self._bots.values()):
                if bot.webhook.url and bot.updates and not _push(bot, bot.updates[0]):
                    time.sleep(RETRY_SECONDS)


def _push(bot: Bot, update: dict[str, Any]) -> bool:
    headers = {"Content-Type": "application/json"}
    if bot.webhook.secret:
        headers["X-Telegram-Bot-Api-Secret-Token"] = bot.webhook.secret
    request = urllib.request.Request(bot.webhook.url, json.dumps(update).encode(), headers)
    try:
        with _DIRECT.open(request, timeout=5) as answer:
            is_taken = 200 <= answer.status < 300
    except (urllib.error.URLError, OSError) as error:
        bot.webhook.last_error = f"Wrong response from the webhook: {error}"
        return False
    if is_taken:
        with bot.lock:
            if bot.updates and bot.updates[0] is update:
                bot.updates.popleft()
    return is_taken
