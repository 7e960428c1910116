"""People: they say, tap, send and block, and they see what a chat shows now."""

import secrets
import time
from typing import Any

from tests.telegram_server.state import Bot, Chat, Shown, Tap


class Person:
    """One person in the private chat with one bot."""

    def __init__(self, bot: Bot, *, telegram_id: int, name: str, language: str, username: str) -> None:
        self.bot, self.id = bot, telegram_id
        known = {"id": telegram_id, "is_bot": False, "first_name": name, "language_code": language}
        self.json: dict[str, Any] = known | ({"username": username} if username else {})

    @property
    def chat(self) -> Chat:
        """The chat, begun when the person first acts; before that the bot cannot write."""
        with self.bot.lock:
            return self.bot.chats.setdefault(self.id, Chat(person=self.json))

    def says(self, text: str, **more: Any) -> int:
        """Write a message; returns its update's id. ``more`` are further fields of Telegram's message."""
        with self.bot.lock:
            shown = self._shown(text)
            message = self.bot.message_json(self.chat, shown) | more
            return int(self.bot.push(message=message)["update_id"])

    def edits(self, message_id: int, text: str) -> int:
        """Change a message of their own."""
        with self.bot.lock:
            shown = self.chat.messages[message_id]
            shown.text = text
            return int(self.bot.push(edited_message=self.bot.message_json(self.chat, shown))["update_id"])

    def sends_document(
        self, name: str, content: bytes, *, caption: str = "", mime_type: str = "application/octet-stream"
    ) -> int:
        """Send a file."""
        document = {**self._file(name, content), "file_name": name, "mime_type": mime_type}
        return self._sends(caption, document=document)

    def sends_photo(self, content: bytes, *, caption: str = "") -> int:
        """Send a picture, which Telegram offers in two sizes."""
        small = {**self._file("small.jpg", content[:10]), "width": 90, "height": 90}
        large = {**self._file("large.jpg", content), "width": 1280, "height": 1280}
        return self._sends(caption, photo=[small, large])

    def sends_voice(self, content: bytes) -> int:
        """Speak."""
        return self._sends(
            "", voice={**self._file("voice.oga", content), "duration": 1, "mime_type": "audio/ogg"}
        )

    def _sends(self, caption: str, **parts: Any) -> int:
        with self.bot.lock:
            message = self.bot.message_json(self.chat, self._shown(caption))
            del message["text"]
            said = {"caption": caption} if caption else {}
            return int(self.bot.push(message=message | said | parts)["update_id"])

    def _file(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{secrets.token_hex(8)}"
        self.bot.files[file_id] = (name, content)
        return {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": len(content)}

    def _shown(self, text: str) -> Shown:
        shown = Shown(message_id=self.bot.next_message_id(), text=text, is_from_bot=False)
        self.chat.messages[shown.message_id] = shown
        return shown

    def taps(
        self, text: str, *, on: Shown | None = None, person: "Person | None" = None, data: str | None = None
    ) -> Tap:
        """Tap the newest button with that text.

        Args:
            text: on the button.
            on: the message below which it is.
            person: somebody else who got hold of the button.
            data: another callback data than the button's.
        """
        with self.bot.lock:
            shown, button = next(
                (shown, button)
                for shown in ([on] if on else reversed(self.sees()))
                for row in shown.buttons
                for button in row
                if button["text"] == text
            )
            tapper = person or self
            tap = Tap(id=str(secrets.randbelow(10**18)), person_id=tapper.id)
            self.bot.taps[tap.id] = tap
            query = {
                "id": tap.id,
                "from": tapper.json,
                "message": self.bot.message_json(tapper.chat, shown),
                "chat_instance": "1",
                "data": data or button["callback_data"],
            }
            self.bot.push(callback_query=query)
            return tap

    def blocks(self) -> None:
        """Block the bot."""
        self._membership(is_blocked=True)

    def unblocks(self) -> None:
        """Let the bot write again."""
        self._membership(is_blocked=False)

    def leaves_telegram(self) -> None:
        """Delete the account: the chat is known no more."""
        self.chat.is_gone = True

    def _membership(self, *, is_blocked: bool) -> None:
        with self.bot.lock:
            self.chat.is_blocked = is_blocked
            member, kicked = ({"user": self.bot.as_json(), "status": word} for word in ("member", "kicked"))
            before, after = (member, kicked) if is_blocked else (kicked, member)
            told = {"chat": self.chat.as_json(), "from": self.json, "date": int(time.time())}
            self.bot.push(my_chat_member=told | {"old_chat_member": before, "new_chat_member": after})

    def sees(self) -> list[Shown]:
        """Return what the chat shows now, oldest first."""
        with self.bot.lock:
            return [shown for shown in self.chat.messages.values() if not shown.is_deleted]

    def texts(self) -> list[str]:
        """Return the words of the bot's messages, oldest first."""
        return [shown.text for shown in self.sees() if shown.is_from_bot]

    def awaits(self, words: str, *, seconds: float = 20.0) -> Shown:
        """Wait until a message of the bot has these words, and return the newest such.

        Raises:
            AssertionError: none came; with what there was.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [shown for shown in self.sees() if shown.is_from_bot and words in shown.text]
            if found:
                return found[-1]
            time.sleep(0.02)
        raise AssertionError(f"{words!r} was not said within {seconds:g} s, but: {self.texts()}")
