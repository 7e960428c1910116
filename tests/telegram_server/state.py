"""What Telegram knows: bots, chats, messages, updates that wait."""

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.telegram_server.wire import Refused, bad_request

Json = dict[str, Any]


@dataclass
class Shown:
    """One message as a person sees it now."""

    message_id: int
    text: str
    is_from_bot: bool
    buttons: list[list[Json]] = field(default_factory=list)
    edits: int = 0
    sent_at: float = field(default_factory=time.monotonic)
    is_deleted: bool = False
    had_markup: bool = False

    def button_texts(self) -> list[str]:
        return [button["text"] for row in self.buttons for button in row]


@dataclass
class Chat:
    """One private chat between a person and a bot."""

    person: Json
    is_blocked: bool = False
    is_gone: bool = False
    is_upgraded: bool = False
    messages: dict[int, Shown] = field(default_factory=dict)
    typing: int = 0

    @property
    def id(self) -> int:
        return int(self.person["id"])

    def as_json(self) -> Json:
        return {"id": self.id, "type": "private", "first_name": self.person["first_name"]}


@dataclass
class Tap:
    """A tapped button that waits for its answer."""

    id: str
    person_id: int
    answer: str | None = None
    is_alert: bool = False


@dataclass
class Webhook:
    """Where updates are pushed to."""

    url: str = ""
    secret: str = ""
    last_error: str = ""
    #: The update of every push that was tried.
    pushes: list[int] = field(default_factory=list)


class Bot:
    """One bot: everything it may see and do."""

    def __init__(self, token: str, username: str) -> None:
        self.token, self.username = token, username
        self.id = int(token.partition(":")[0])
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)
        self.chats: dict[int, Chat] = {}
        self.taps: dict[str, Tap] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.updates: deque[Json] = deque()
        self.webhook = Webhook()
        self.commands: list[Json] = []
        self.poll_number = 0
        self.polls_at_once = 0
        self.most_polls_at_once = 0
        self._update_ids = count(secrets.randbelow(1_000_000) + 1)
        self._message_ids = count(1)

    def as_json(self) -> Json:
        return {"id": self.id, "is_bot": True, "first_name": self.username, "username": self.username}

    def chat(self, chat_id: int) -> Chat:
        """Return a chat that the bot may write to."""
        chat = self.chats.get(chat_id)
        if chat is None or chat.is_gone:
            raise bad_request("chat not found")
        if chat.is_upgraded:
            words = "group chat was upgraded to a supergroup chat"
            raise Refused(400, f"Bad Request: {words}", migrate_to_chat_id=-1_000_000_000_000 - chat_id)
        if chat.is_blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        return chat

    def next_message_id(self) -> int:
        return next(self._message_ids)

    def push(self, **update: Any) -> Json:
        """Let something happen that the bot will be told."""
        with self.news:
            told = {"update_id": next(self._update_ids), **update}
            self.updates.append(told)
            self.news.notify_all()
        return told

    def message_json(self, chat: Chat, shown: Shown) -> Json:
        sender = self.as_json() if shown.is_from_bot else chat.person
        return {
            "message_id": shown.message_id,
            "from": sender,
            "chat": chat.as_json(),
            "date": int(time.time()),
            "text": shown.text,
        }
