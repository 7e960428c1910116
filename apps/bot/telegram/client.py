"""One bot at Telegram, for one thread: each method is one call, and raises errors of ours alone.

The library is loaded with the first client: of all processes few ask Telegram anything.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from apps.bot.telegram.errors import (
    Interrupted,
    MessageGone,
    NotModified,
    OutcomeUnknown,
    Refused,
    TelegramError,
)

#: What concerns us; the rest is not even sent.
ALLOWED_UPDATES: Final = ("message", "edited_message", "callback_query", "my_chat_member")
#: Telegram's own bound for bots.
MAX_DOWNLOAD_BYTES: Final = 20 * 1024 * 1024

Rows = Sequence[Sequence[Mapping[str, str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BotIdentity:
    """Which bot a token belongs to."""

    telegram_id: int
    username: str


class TelegramClient:
    """The Bot API with one token; not to be shared between threads, except for ``interrupt``."""

    def __init__(self, token: str, *, base_url: str, request_seconds: float = 10.0) -> None:
        """Prepare; nothing is asked yet.

        Args:
            token: of the bot.
            base_url: of the Bot API.
            request_seconds: of each step of a request: to connect, to write, to read.

        """
        from apps.bot.telegram.request import Bot, JsonRequest, Request, bounds_of

        base, bounds = base_url.rstrip("/"), bounds_of(request_seconds)
        self._requests = (JsonRequest(**bounds), JsonRequest(**bounds), Request(**bounds))
        self._bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=self._requests[0],
            get_updates_request=self._requests[1],
        )
        self._request_seconds = request_seconds
        self._runner = asyncio.Runner()
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._is_interrupted = threading.Event()

    def __repr__(self) -> str:
        return "TelegramClient"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        for request in self._requests:
            self._runner.run(request.shutdown())
        self._runner.close()

    def interrupt(self) -> None:
        """End a wait for updates, and every later one, from a signal's handler or another thread."""
        self._is_interrupted.set()
        if (waiting := self._waiting) is not None:
            loop, task = waiting
            with suppress(RuntimeError):  # it ended at this moment
                loop.call_soon_threadsafe(task.cancel)

    def get_me(self) -> BotIdentity:
        """Return whose the token is.

        Raises:
            TokenRefused: nobody's.

        """
        me = self._ask("getMe")
        return BotIdentity(telegram_id=int(me["id"]), username=str(me.get("username", "")))

    def get_updates(self, *, offset: int | None, wait_seconds: int) -> list[dict[str, Any]]:
        """Return what happened from an update on, waiting until something does; it confirms all before.

        Args:
            offset: the first update wanted; None: the first that is not confirmed.
            wait_seconds: how long to wait.

        Raises:
            PollingConflict: somebody else asks, or a webhook is set.
            Interrupted: somebody called ``interrupt``.

        """
        values: dict[str, Any] = {"timeout": wait_seconds, "allowed_updates": list(ALLOWED_UPDATES)}
        if offset is not None:
            values["offset"] = offset
        found = self._run(
            self._interruptible(self._bot.ask("getUpdates", wait_seconds + self._request_seconds, values))
        )
        return [update for update in found if isinstance(update, dict)] if isinstance(found, list) else []

    def set_webhook(self, url: str, *, secret: str) -> None:
        """Have updates pushed to an address, one after the other, with a header that only we know."""
        allowed = list(ALLOWED_UPDATES)
        self._ask("setWebhook", url=url, secret_token=secret, allowed_updates=allowed, max_connections=1)

    def delete_webhook(self) -> None:
        """Have updates wait for ``get_updates``; none is dropped."""
        self._ask("deleteWebhook")

    def webhook(self) -> tuple[str, str]:
        """Return where updates are pushed to, and what Telegram last said was wrong with it."""
        info = self._ask("getWebhookInfo")
        return str(info.get("url", "")), str(info.get("last_error_message", ""))

    def set_commands(self, commands: Mapping[str, str], *, language: str = "") -> None:
        """Show these commands (name → what it does) in the menu of those who speak a language."""
        listed = [{"command": name, "description": words} for name, words in commands.items()]
        more = {"language_code": language} if language else {}
        self._ask("setMyCommands", commands=listed, **more)

    def send_text(
        self, chat_id: int, text: str, *, buttons: Rows = (), is_plain: bool = False, is_quiet: bool = False
    ) -> int:
        """Say something, and return the message's id.

        Args:
            chat_id: Telegram's id of the chat.
            text: at most 4,096 UTF-16 units of visible text.
            buttons: rows of ``{"text", "data"}`` or ``{"text", "url"}``.
            is_plain: whether the text has no markup.
            is_quiet: whether it makes no sound.

        Raises:
            ChatBlocked, ChatGone, MarkupRefused, ButtonsRefused, Refused: it was not said.

        """
        values = {"chat_id": chat_id, **_words(text, is_plain=is_plain), **_keyboard(buttons)}
        if is_quiet:
            values["disable_notification"] = True
        return _message_id(self._ask("sendMessage", **values))

    def edit_text(
        self, chat_id: int, message_id: int, text: str, *, buttons: Rows = (), is_plain: bool = False
    ) -> None:
        """Let a message look like this; fine if it does already.

        Raises:
            MessageGone: there is none, or it is too old to be changed.

        """
        values = {**_words(text, is_plain=is_plain), **_keyboard(buttons)}
        with suppress(NotModified):
            self._ask("editMessageText", chat_id=chat_id, message_id=message_id, **values)

    def delete(self, chat_id: int, message_id: int) -> None:
        """Remove a message; fine if there is none."""
        with suppress(MessageGone):
            self._ask("deleteMessage", chat_id=chat_id, message_id=message_id)

    def answer_callback(self, callback_query_id: str, text: str = "", *, is_alert: bool = False) -> None:
        """End the spinner of a tapped button.

        Raises:
            TapExpired: too late.

        """
        values = {"text": text, "show_alert": is_alert} if text else {}
        self._ask("answerCallbackQuery", callback_query_id=callback_query_id, **values)

    def show_typing(self, chat_id: int) -> None:
        """Show "typing" for five seconds, or until the next message."""
        self._ask("sendChatAction", chat_id=chat_id, action="typing")

    def fetch_file(self, file_id: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES) -> bytes:
        """Return a file that a person sent.

        Args:
            file_id: of the attachment.
            max_bytes: what is larger is refused before it is fetched.

        Raises:
            Refused: it is too large, or not there any more.

        """
        found = self._ask("getFile", file_id=file_id)
        size, path = found.get("file_size"), str(found.get("file_path", ""))
        if not path or (isinstance(size, int) and size > max_bytes):
            raise Refused("The file is too big.", code="file_too_big")
        content = self._run(self._requests[2].retrieve(self._bot.file_url(path)))
        if len(content) > max_bytes:
            raise Refused("The file is too big.", code="file_too_big")
        return bytes(content)

    def _ask(self, method: str, **values: Any) -> Any:
        return self._run(self._bot.ask(method, None, values))

    async def _interruptible(self, call: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.ensure_future(call)
        self._waiting = (asyncio.get_running_loop(), task)
        try:
            if self._is_interrupted.is_set():
                task.cancel()
            return await task
        finally:
            self._waiting = None

    def _run(self, call: Coroutine[Any, Any, Any]) -> Any:
        from telegram.error import TelegramError as LibraryError

        from apps.bot.telegram.request import Failed

        reason: TelegramError
        try:
            return self._runner.run(call)
        except asyncio.CancelledError:
            reason = Interrupted()
        except Failed as failed:
            reason = failed.reason
        except LibraryError as error:
            reason = OutcomeUnknown(f"The library gave up ({type(error).__name__}).")
        # Outside, so that nothing of the library, whose errors may quote the address, hangs on to ours.
        raise reason


def _words(text: str, *, is_plain: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"text": text, "link_preview_options": {"is_disabled": True}}
    return said if is_plain else {**said, "parse_mode": "HTML"}


def _keyboard(buttons: Rows) -> dict[str, Any]:
    rows = [[_button(button) for button in row] for row in buttons if row]
    return {"reply_markup": {"inline_keyboard": rows}} if rows else {}


def _button(button: Mapping[str, str]) -> dict[str, str]:
    target = {"url": button["url"]} if button.get("url") else {"callback_data": button.get("data", "")}
    return {"text": button["text"], **target}


def _message_id(answer: Any) -> int:
    found = answer.get("message_id") if isinstance(answer, dict) else None
    if not isinstance(found, int):
        raise OutcomeUnknown("Telegram's answer names no message.")
    return found
