"""Updates as Telegram sends them, and what the bot owes after them."""

from itertools import count
from typing import Any

from apps.bot import handlers
from apps.bot.models import Chat, ChatStatus, Delivery, DeliveryKind
from apps.projects.models import User
from tests.factories import make_user

_numbers = count(1)


class Phone:
    """One person with Telegram on a phone: writes, taps, and reads what is owed to them."""

    def __init__(self, *, person_id: int | None = None, language: str = "en", **who: str) -> None:
        self.id = person_id or 700_000 + next(_numbers)
        self.who = {"id": self.id, "first_name": "Ada", "language_code": language, "is_bot": False, **who}

    @property
    def chat(self) -> Chat:
        return Chat.objects.get(telegram_id=self.id)

    def message(self, text: str = "", **fields: Any) -> dict[str, Any]:
        number = next(_numbers)
        words = {"text": text} if text else {}
        place = {"id": self.id, "type": "private"}
        return {
            "update_id": number,
            "message": {"message_id": number, "from": self.who, "chat": place, "date": 0, **words, **fields},
        }

    def tap(self, data: str) -> dict[str, Any]:
        number = next(_numbers)
        place = {"id": self.id, "type": "private"}
        return {
            "update_id": number,
            "callback_query": {
                "id": f"tap-{number}",
                "from": self.who,
                "data": data,
                "message": {"message_id": 1, "chat": place, "date": 0},
            },
        }

    def writes(self, text: str = "", **fields: Any) -> list[Delivery]:
        return self.does(self.message(text, **fields))

    def taps(self, title: str) -> list[Delivery]:
        return self.does(self.tap(self.button(title)))

    def does(self, update: dict[str, Any]) -> list[Delivery]:
        """Handle an update; returns what it added to the outbox of this chat."""
        before = set(Delivery.objects.values_list("pk", flat=True))
        handlers.handle(update)
        return list(Delivery.objects.filter(chat__telegram_id=self.id).exclude(pk__in=before).order_by("pk"))

    def texts(self) -> list[str]:
        """Return every text that is owed here, the oldest first."""
        rows = Delivery.objects.filter(
            chat__telegram_id=self.id, kind__in=[DeliveryKind.TEXT, DeliveryKind.CARD]
        )
        return [row.payload["text"] for row in rows.order_by("pk")]

    def last(self) -> str:
        return self.texts()[-1]

    def buttons(self) -> dict[str, str]:
        """Return what is on the buttons of this chat, and what each sends; the latest of each title."""
        rows = Delivery.objects.filter(chat__telegram_id=self.id).order_by("pk")
        rows_of_buttons = (line for row in rows for line in row.payload.get("buttons", []))
        return {one["text"]: one.get("data", "") for line in rows_of_buttons for one in line}

    def button(self, title: str) -> str:
        found = [data for text, data in self.buttons().items() if title in text]
        assert found, (title, sorted(self.buttons()))
        return found[-1]


def somebody(role: str = "member", **fields: Any) -> tuple[Phone, User]:
    """A person who was let in, with a chat."""
    phone = Phone()
    user = make_user(role=role, telegram_id=phone.id, **fields)
    Chat.objects.create(telegram_id=phone.id, user=user, status=ChatStatus.ACTIVE, name="Ada")
    return phone, user
