"""One message per card, edited in place: the newest state, once a second, and never without its end."""

from collections.abc import Callable

import pytest

from apps.bot import outbox
from apps.bot.delivering import deliver_chat
from apps.bot.models import Chat, Delivery, DeliveryStatus
from apps.bot.telegram import TelegramClient
from tests.apps.bot.virtual_clock import VirtualClock, deliver_all
from tests.telegram_server import Fault, Person, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def chat(make_chat: Callable[..., Chat], ada: Person) -> Chat:
    return make_chat(telegram_id=ada.id)


def test_card_is_sent_once_and_then_edited(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.show_card(chat, "begun", key="card")
    deliver_all(chat, adapter, time)

    outbox.show_card(chat, "done", key="card")
    deliver_all(chat, adapter, time)

    shown = [message for message in ada.sees() if message.is_from_bot]
    assert [(message.text, message.edits) for message in shown] == [("done", 1)]


def test_changes_within_a_second_are_one_edit_and_the_last_one_is_shown(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.show_card(chat, "0", key="card")
    deliver_all(chat, adapter, time)

    for number in range(1, 51):
        outbox.show_card(chat, f"{number}", key="card")
        time.pass_by(0.1)
        deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["50"]
    assert 5 <= len(telegram.calls("editMessageText")) <= 7


def test_two_cards_of_a_chat_share_its_edits(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    for number in range(1, 31):
        for card in ("a", "b"):
            outbox.show_card(chat, f"{card}{number}", key=card)
        deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)
        time.pass_by(0.2)
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["a30", "b30"]
    assert len(telegram.calls("editMessageText")) <= 9


def test_card_that_changes_while_it_is_being_shown_is_shown_again(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    card = outbox.show_card(chat, "one", key="card")
    Delivery.transition(card.pk, to=DeliveryStatus.SENDING, attempts=1)

    outbox.show_card(chat, "two", key="card")
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["(again)\ntwo"]
    assert card.reload().shown_revision == card.wanted_revision == 2


def test_card_whose_message_is_gone_is_sent_anew(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.show_card(chat, "one", key="card")
    deliver_all(chat, adapter, time)
    ada.sees()[-1].is_deleted = True

    outbox.show_card(chat, "two", key="card")
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["two"]


def test_edit_of_which_nobody_knows_is_repeated_without_a_mark(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.show_card(chat, "one", key="card")
    deliver_all(chat, adapter, time)
    telegram.faults.add(Fault("cut_after", method="editMessageText"))

    outbox.show_card(chat, "two", key="card")
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["two"]


def test_text_waits_for_no_edit_that_must_wait(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.show_card(chat, "one", key="card")
    deliver_all(chat, adapter, time)
    outbox.show_card(chat, "two", key="card")

    outbox.send_text(chat, "Hello", key="hello")
    deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)

    assert ada.texts() == ["one", "Hello"]


def test_card_is_cut_to_one_message(chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock):
    outbox.show_card(chat, "<b>" + "word " * 2_000 + "</b>", key="card")

    deliver_all(chat, adapter, time)

    assert len(ada.texts()) == 1
    assert ada.texts()[0].endswith("…")


def test_card_that_may_be_there_twice_keeps_its_mark(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    telegram.faults.add(Fault("cut_after"))
    outbox.show_card(chat, "10 %", key="card")
    deliver_all(chat, adapter, time)

    outbox.show_card(chat, "done", key="card")
    deliver_all(chat, adapter, time)

    assert ada.texts() == ["10 %", "(again)\ndone"]
