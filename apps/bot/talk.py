"""One update on its way through the bot: who said it where, and how to answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.bot import outbox
from apps.bot.incoming import Incoming
from apps.bot.models import Chat
from apps.projects.models import User
from apps.telegram import BotResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Talk:
    """An update of somebody; answers are owed under keys of the update, so they are owed once."""

    incoming: Incoming
    chat: Chat
    user: User | None = None
    #: What Telegram said of tokens that the update may be about, asked before anything was written.
    bots: Mapping[str, BotResult] = field(default_factory=dict, repr=False)

    @property
    def person(self) -> User:
        """Who speaks; only those who were let in get as far as to be asked for."""
        if self.user is None:
            raise LookupError("This person has no account.")
        return self.user

    def say(self, text: str, *, part: str = "reply", buttons: outbox.Buttons = ()) -> None:
        """Answer with a message.

        Args:
            text: Telegram's HTML.
            part: names it among the answers to this update.
            buttons: rows of buttons below it.

        """
        outbox.send_text(self.chat, text, key=self.key(part), buttons=buttons)

    def answer_tap(self, text: str = "", *, is_alert: bool = False) -> None:
        """End the spinner of the tapped button."""
        outbox.answer_callback(
            self.chat, callback_query_id=self.incoming.tap_id, text=text, is_alert=is_alert
        )

    def forget_message(self) -> None:
        """Have the message of the person deleted."""
        if self.incoming.message_id is not None:
            outbox.delete(self.chat, key=self.key("forget"), message_id=self.incoming.message_id)

    def key(self, part: str) -> str:
        """Return the name of one effect of this update."""
        return f"update:{self.incoming.update_id}:{part}"
