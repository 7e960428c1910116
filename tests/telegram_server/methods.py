"""The methods of the Bot API that a bot of ours calls, with Telegram's rules and words."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.telegram_server import markup
from tests.telegram_server.state import Bot, Chat, Shown
from tests.telegram_server.wire import Call, Refused, bad_request

MESSAGE_UNITS, DATA_BYTES = 4_096, 64
DOWNLOAD_BYTES = 20 * 1024 * 1024

Method = Callable[[Bot, Call], Any]
METHODS: dict[str, Method] = {}


def method(function: Method) -> Method:
    """Register a method under its name in camel case."""
    head, *rest = function.__name__.split("_")
    METHODS[head + "".join(word.title() for word in rest)] = function
    return function


@method
def get_me(bot: Bot, call: Call) -> Any:
    return bot.as_json() | {"can_join_groups": True}


@method
def send_message(bot: Bot, call: Call) -> Any:
    with bot.lock:
        chat = bot.chat(call.number("chat_id"))
        text = _text(call, "text", MESSAGE_UNITS)
        return bot.message_json(chat, _show(bot, chat, call, text))


@method
def edit_message_text(bot: Bot, call: Call) -> Any:
    with bot.lock:
        chat = bot.chat(call.number("chat_id"))
        shown = _message(chat, call, "message to edit not found")
        if not shown.is_from_bot:
            raise bad_request("message can't be edited")
        text, buttons = _text(call, "text", MESSAGE_UNITS), _buttons(call)
        if (text, buttons) == (shown.text, shown.buttons):
            raise bad_request(
                "message is not modified: specified new message content and reply markup are exactly the same"
                " as a current content and reply markup of the message"
            )
        shown.text, shown.buttons, shown.edits = text, buttons, shown.edits + 1
        return bot.message_json(chat, shown)


@method
def delete_message(bot: Bot, call: Call) -> Any:
    with bot.lock:
        chat = bot.chat(call.number("chat_id"))
        _message(chat, call, "message to delete not found").is_deleted = True
        return True


@method
def answer_callback_query(bot: Bot, call: Call) -> Any:
    with bot.lock:
        tap = bot.taps.get(call.text("callback_query_id"))
        if tap is None:
            raise bad_request("query is too old and response timeout expired or query ID is invalid")
        tap.answer, tap.is_alert = call.text("text"), call.text("show_alert") == "true"
        return True


@method
def send_chat_action(bot: Bot, call: Call) -> Any:
    with bot.lock:
        bot.chat(call.number("chat_id")).typing += 1
        return True


@method
def get_file(bot: Bot, call: Call) -> Any:
    with bot.lock:
        file_id = call.text("file_id")
        if file_id not in bot.files:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        size = len(bot.files[file_id][1])
        if size > DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        path = f"documents/{file_id}"
        return {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": size, "file_path": path}


@method
def set_my_commands(bot: Bot, call: Call) -> Any:
    bot.commands = call.json("commands")
    return True


@method
def set_webhook(bot: Bot, call: Call) -> Any:
    url = call.text("url")
    if url and not url.startswith("https://"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    with bot.news:
        bot.webhook.url, bot.webhook.secret = url, call.text("secret_token")
        bot.news.notify_all()
    return True


@method
def delete_webhook(bot: Bot, call: Call) -> Any:
    with bot.news:
        bot.webhook.url = ""
        bot.news.notify_all()
    return True


@method
def get_webhook_info(bot: Bot, call: Call) -> Any:
    with bot.lock:
        hook = bot.webhook
        info = {"url": hook.url, "has_custom_certificate": False, "pending_update_count": len(bot.updates)}
        return info | ({"last_error_message": hook.last_error} if hook.last_error else {})


@method
def get_updates(bot: Bot, call: Call) -> Any:
    with bot.news:
        if bot.webhook.url:
            raise Refused(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete"
                " the webhook first",
            )
        # The newest asker wins; the one before is told so.
        bot.poll_number += 1
        mine = bot.poll_number
        bot.polls_at_once += 1
        bot.most_polls_at_once = max(bot.most_polls_at_once, bot.polls_at_once)
        bot.news.notify_all()
        try:
            return _updates(bot, call, mine)
        finally:
            bot.polls_at_once -= 1


def _updates(bot: Bot, call: Call, mine: int) -> list[dict[str, Any]]:
    offset, until = call.number("offset", 0), time.monotonic() + call.number("timeout", 0)
    while bot.updates and bot.updates[0]["update_id"] < offset:
        bot.updates.popleft()
    while True:
        if bot.poll_number != mine:
            raise Refused(
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is"
                " running",
            )
        found = [update for update in bot.updates if update["update_id"] >= offset]
        left = until - time.monotonic()
        if found or left <= 0:
            return found[: call.number("limit", 100)]
        bot.news.wait(left)


def _text(call: Call, name: str, limit: int) -> str:
    text, mode = call.text(name), call.text("parse_mode")
    if mode not in ("", "HTML"):
        raise bad_request("unsupported parse_mode")
    try:
        shown = markup.visible(text) if mode else text
    except markup.BadMarkup as error:
        raise bad_request(f"can't parse entities: {error}") from None
    if not shown.strip():
        raise bad_request("message text is empty")
    if markup.units(shown) > limit:
        raise bad_request("message is too long" if limit == MESSAGE_UNITS else "message caption is too long")
    return shown.strip()


def _buttons(call: Call) -> list[list[dict[str, Any]]]:
    rows = (call.json("reply_markup") or {}).get("inline_keyboard", [])
    for button in (button for row in rows for button in row):
        data, url = button.get("callback_data", ""), button.get("url", "")
        if len(data.encode()) > DATA_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
        if url and "." not in (urlsplit(url).hostname or ""):
            raise bad_request(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    return list(rows)


def _show(bot: Bot, chat: Chat, call: Call, text: str) -> Shown:
    shown = Shown(
        message_id=bot.next_message_id(),
        text=text,
        is_from_bot=True,
        buttons=_buttons(call),
        had_markup=bool(call.text("parse_mode")),
    )
    chat.messages[shown.message_id] = shown
    return shown


def _message(chat: Chat, call: Call, words: str) -> Shown:
    shown = chat.messages.get(call.number("message_id"))
    if shown is None or shown.is_deleted:
        raise bad_request(words)
    return shown


def body_of(result: Any) -> bytes:
    """Return the answer to a call that went well."""
    return json.dumps({"ok": True, "result": result}).encode()
