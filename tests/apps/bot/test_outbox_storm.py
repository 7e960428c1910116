"""The outbox in a storm: every sort of delivery, of fault and of death, drawn by a seed; then judged."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.bot import outbox
from apps.bot.delivering import deliver_chat
from apps.bot.models import Chat, Delivery
from apps.bot.telegram import TelegramClient
from tests.apps.bot.virtual_clock import VirtualClock, deliver_all
from tests.journeys import chat_judge
from tests.journeys.chat_judge import Owed
from tests.telegram_server import Fault, Person, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]

STEPS = 60
METHODS = ("sendMessage", "editMessageText", "deleteMessage", "answerCallbackQuery", "sendChatAction")


class Died(BaseException):
    """The process is gone: nobody handles this."""


class Mortal(TelegramClient):
    """Dies where it is told to, before Telegram is asked or before its answer is written down."""

    dies = ""

    def _ask(self, method: str, **values: Any) -> Any:
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise Died
        answer = super()._ask(method, **values)
        if dies == "after":
            raise Died
        return answer


@pytest.fixture
def mortal(telegram: TelegramServer) -> Iterator[Mortal]:
    with Mortal(telegram.token, base_url=telegram.url, request_seconds=0.4) as client:
        yield client


def owe(draw: random.Random, chat: Chat, number: int) -> None:
    """Let the bot owe something more."""
    match draw.choice(("text", "text", "card", "card", "card", "notice", "delete", "typing", "tap")):
        case "text":
            outbox.send_text(chat, f"<b>{number}</b> &amp; more", key=f"text:{number}")
        case "card":
            outbox.show_card(chat, f"state {number}", key=f"card:{chat.pk}:{draw.randint(1, 2)}")
        case "notice":
            outbox.show_card(chat, f"still at {number}", key=f"notice:{chat.pk}:{number // 10}")
        case "delete":
            notices = Delivery.objects.filter(chat=chat, idempotency_key__startswith="notice:")
            for notice in notices.order_by("-pk")[:1]:
                outbox.delete(chat, key=f"{notice.idempotency_key}:gone", of=notice.idempotency_key)
        case "typing":
            outbox.show_typing(chat)
        case _:
            outbox.answer_callback(chat, callback_query_id=f"tap-{number}", text="Noted")


def trouble(draw: random.Random, telegram: TelegramServer, client: Mortal) -> None:
    """Let something go wrong soon."""
    method = draw.choice(METHODS)
    match draw.choice(("flood", "error", "cut_before", "cut_after", "silence", "death", "", "", "")):
        case "flood":
            telegram.faults.add(Fault("flood", draw.choice((method, "*")), retry_after=draw.randint(1, 5)))
        case "error":
            telegram.faults.add(Fault("error", method, status=draw.choice((500, 502, 503))))
        case "cut_before":
            telegram.faults.add(Fault("cut_before", method))
        case "cut_after":
            telegram.faults.add(Fault("cut_after", method))
        case "silence":
            is_before = draw.random() < 0.5
            telegram.faults.add(Fault("hang_before" if is_before else "hang_after", method, seconds=0.6))
        case "death":
            client.dies = draw.choice(("before", "after"))
        case _:
            pass


def owed_to(chat: Chat) -> list[Owed]:
    return [
        Owed(
            id=row.pk,
            key=row.idempotency_key,
            kind=row.kind,
            status=row.status,
            text=row.payload.get("text", ""),
            message_id=row.message_id,
            is_plain=row.is_plain,
            code=(row.failure or {}).get("code", ""),
        )
        for row in Delivery.objects.filter(chat=chat).order_by("pk")
    ]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_doubled_without_a_mark_or_out_of_order(
    seed: int,
    make_chat: Callable[..., Chat],
    telegram: TelegramServer,
    mortal: Mortal,
    time: VirtualClock,
):
    draw = random.Random(seed)
    people: list[Person] = [telegram.person() for _ in range(2)]
    for person in people:
        person.says("/start")
    chats = [make_chat(telegram_id=person.id) for person in people]

    for number in range(STEPS):
        chat = draw.choice(chats)
        owe(draw, chat, number)
        trouble(draw, telegram, mortal)
        try:
            deliver_chat(chat_id=chat.pk, client=mortal, clock=time.clock)
        except Died:
            time.pass_by(1.0)
        time.pass_by(draw.uniform(0.0, 2.0))
    telegram.faults.clear()
    mortal.dies = ""
    for chat in chats:
        deliver_all(chat, mortal, time)

    for person, chat in zip(people, chats, strict=True):
        assert chat_judge.problems_of_chat(owed_to(chat), person.chat.messages) == []
