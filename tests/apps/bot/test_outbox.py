"""What the bot owes its chats, as rows."""

import pytest

from apps.bot import outbox
from apps.bot.models import Chat, Delivery, DeliveryKind, DeliveryStatus
from apps.errors import Invalid, NotFound

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_text_is_owed_once_per_key(chat: Chat):
    first = outbox.send_text(chat, "Hello", key="greeting")

    second = outbox.send_text(chat, "Hello again", key="greeting")

    assert second == first
    assert Delivery.objects.get().payload["text"] == "Hello"


def test_text_without_words_is_refused(chat: Chat):
    with pytest.raises(outbox.EmptyText):
        outbox.send_text(chat, " \n\0", key="nothing")


def test_text_with_halves_of_characters_can_be_stored(chat: Chat):
    row = outbox.send_text(chat, "a\ud83d\0b", key="half")

    assert row.reload().payload["text"] == "a\ufffdb"


def test_button_whose_data_telegram_would_refuse_is_refused_here(chat: Chat):
    button = outbox.Button(text="Yes", data="x" * 65)

    with pytest.raises(Invalid) as caught:
        outbox.send_text(chat, "Sure?", key="sure", buttons=[[button]])

    assert caught.value.error_code == "button_too_large"


def test_card_wants_the_newest_text(chat: Chat):
    outbox.show_card(chat, "one", key="card")

    card = outbox.show_card(chat, "two", key="card")

    assert card.payload["text"] == "two"
    assert card.wanted_revision == 2
    assert Delivery.objects.count() == 1


def test_card_that_did_not_change_is_not_wanted_again(chat: Chat):
    card = outbox.show_card(chat, "one", key="card")
    Delivery.transition(card.pk, to=DeliveryStatus.SENT, shown_revision=1)

    again = outbox.show_card(chat, "one", key="card")

    assert again.status == DeliveryStatus.SENT
    assert again.wanted_revision == 1


def test_card_that_was_shown_is_owed_again_when_it_changes(chat: Chat):
    card = outbox.show_card(chat, "one", key="card")
    Delivery.transition(card.pk, to=DeliveryStatus.SENT, shown_revision=1)

    again = outbox.show_card(chat, "two", key="card")

    assert again.status == DeliveryStatus.PENDING
    assert (again.shown_revision, again.wanted_revision) == (1, 2)


def test_deletion_of_an_unknown_delivery_is_refused(chat: Chat):
    with pytest.raises(NotFound):
        outbox.delete(chat, key="gone", of="never sent")


def test_typing_that_still_waits_is_not_owed_twice(chat: Chat):
    first = outbox.show_typing(chat)

    second = outbox.show_typing(chat)

    assert second == first
    assert first.kind == DeliveryKind.ACTION


def test_what_is_too_much_to_be_owed_again_is_counted_once(chat: Chat):
    for number in range(outbox._MOST_NEWS + 3):
        outbox.send_text(chat, f"news {number}", key=f"news:{number}")
    Delivery.objects.update(status=DeliveryStatus.DROPPED, failure={"code": "chat_blocked"})

    first = outbox.owe_again(chat)
    owed = Delivery.objects.filter(status=DeliveryStatus.PENDING).order_by("pk")
    again = [row.payload["text"] for row in owed]
    second = outbox.owe_again(chat)

    assert (first, second) == (outbox._MOST_NEWS, 0)
    assert again[0] == "news 3"
    assert "3 older messages that you missed do not come again" in again[-1]
    assert Delivery.objects.filter(idempotency_key__startswith="left-out:").count() == 1
