"""What is owed arrives: in order, under Telegram's limits, marked where it may be there twice."""

import heapq
from collections.abc import Callable

import pytest

from apps.bot import outbox, settling, sweep
from apps.bot.delivering import deliver_chat
from apps.bot.models import Chat, ChatStatus, Delivery, DeliveryStatus, SendGate, Trouble
from apps.bot.sending import Parcel
from apps.bot.telegram import MarkupRefused, TelegramClient
from tests.apps.bot.virtual_clock import VirtualClock, deliver_all
from tests.telegram_server import Fault, Person, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def chat(make_chat: Callable[..., Chat], ada: Person) -> Chat:
    return make_chat(telegram_id=ada.id)


def test_messages_arrive_in_the_order_in_which_they_are_owed(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    for number in range(6):
        outbox.send_text(chat, f"{number}", key=f"m{number}")

    deliver_all(chat, adapter, time)

    assert ada.texts() == ["0", "1", "2", "3", "4", "5"]


def test_chat_gets_a_burst_and_then_one_message_a_second(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    for number in range(60):
        outbox.send_text(chat, f"{number}", key=f"m{number}")

    at_once = deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)
    begun = len(ada.texts())
    seconds = deliver_all(chat, adapter, time)

    assert begun == 3
    assert at_once == pytest.approx(1.0, abs=0.2)
    assert len(ada.texts()) == 60
    assert 57 <= seconds <= 60


def test_five_hundred_messages_of_a_minute_keep_to_everybodys_limit(
    make_chat: Callable[..., Chat], telegram: TelegramServer, adapter: TelegramClient, time: VirtualClock
):
    people = [telegram.person() for _ in range(50)]
    chats = [make_chat(telegram_id=person.id) for person in people]
    for person, chat in zip(people, chats, strict=True):
        person.says("/start")
        for number in range(10):
            outbox.send_text(chat, f"{number}", key=f"{chat.pk}-{number}")

    due = [(0.0, number) for number in range(len(chats))]
    while due:
        moment, number = heapq.heappop(due)
        time.pass_by(max(moment - time.passed, 0.0))
        wait = deliver_chat(chat_id=chats[number].pk, client=adapter, clock=time.clock)
        if wait is not None:
            heapq.heappush(due, (time.passed + wait + 0.001, number))

    assert all(person.texts() == [str(number) for number in range(10)] for person in people)
    assert 16 < time.passed < 20


def test_pause_that_telegram_wants_is_kept_and_nothing_is_lost(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    telegram.faults.add(Fault("flood", retry_after=7))
    outbox.send_text(chat, "one", key="one")
    outbox.send_text(chat, "two", key="two")

    wait = deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)
    calls = len(telegram.calls("sendMessage"))
    again = deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)
    deliver_all(chat, adapter, time)

    assert wait == pytest.approx(7, abs=0.1)
    assert again == pytest.approx(7, abs=0.1)
    assert calls == 1
    assert ada.texts() == ["one", "two"]
    assert Delivery.objects.get(idempotency_key="one").attempts == 1


def test_two_chats_that_must_pause_pause_everybody(
    make_chat: Callable[..., Chat], telegram: TelegramServer, adapter: TelegramClient, time: VirtualClock
):
    chats = []
    for number in range(3):
        person = telegram.person()
        person.says("/start")
        chats.append(make_chat(telegram_id=person.id))
        outbox.send_text(chats[-1], "Hi", key=f"hi {number}")
    telegram.faults.add(Fault("flood", retry_after=5, times=2))

    waits = [deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock) for chat in chats]

    assert waits == [pytest.approx(5, abs=0.1)] * 3
    assert len(telegram.calls("sendMessage")) == 2
    assert SendGate.objects.get().paused_until is not None


def test_message_of_which_nobody_knows_is_repeated_with_a_mark(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    telegram.faults.add(Fault("cut_after"))
    outbox.send_text(chat, "Done", key="done")

    deliver_all(chat, adapter, time)

    assert ada.texts() == ["Done", "(again)\nDone"]


def test_message_that_a_dead_process_left_is_repeated_with_a_mark(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    row = outbox.send_text(chat, "Done", key="done")
    Delivery.transition(row.pk, to=DeliveryStatus.SENDING, attempts=1)

    deliver_all(chat, adapter, time)

    assert ada.texts() == ["(again)\nDone"]
    assert row.reload().status == DeliveryStatus.SENT


def test_message_that_certainly_did_not_arrive_is_repeated_without_a_mark(
    chat: Chat, telegram: TelegramServer, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "Done", key="done")
    with TelegramClient(telegram.token, base_url="http://127.0.0.1:1") as nobody:
        wait = deliver_chat(chat_id=chat.pk, client=nobody, clock=time.clock)

    with TelegramClient(telegram.token, base_url=telegram.url) as adapter:
        deliver_all(chat, adapter, time)

    assert wait is not None
    assert wait > 0
    assert ada.texts() == ["Done"]


def test_while_telegram_is_not_reached_only_one_chat_at_a_time_asks(
    make_chat: Callable[..., Chat], telegram: TelegramServer, time: VirtualClock
):
    first, second = make_chat(), make_chat()
    outbox.send_text(first, "one", key="one")
    row = outbox.send_text(second, "two", key="two")

    with TelegramClient(telegram.token, base_url="http://127.0.0.1:1") as nobody:
        deliver_chat(chat_id=first.pk, client=nobody, clock=time.clock)
        wait = deliver_chat(chat_id=second.pk, client=nobody, clock=time.clock)

    assert wait == pytest.approx(5, abs=0.1)
    assert row.reload().attempts == 0
    assert sweep.list_due_chats(now=time.now_is, limit=10) == []
    time.pass_by(5.1)
    assert set(sweep.list_due_chats(now=time.now_is, limit=10)) == {first.pk, second.pk}


def test_message_whose_markup_is_refused_is_told_plainly(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "<b>1 &lt; 2", key="broken", buttons=[[outbox.Button(text="Yes", data="y")]])

    deliver_all(chat, adapter, time)

    shown = ada.sees()[-1]
    assert (shown.text, shown.button_texts()) == ("1 < 2", ["Yes"])


def test_words_of_telegram_that_quote_what_was_written_are_in_no_log(
    chat: Chat, time: VirtualClock, caplog: pytest.LogCaptureFixture
):
    row = outbox.send_text(chat, "<hunter2>", key="broken")
    parcel = Parcel(delivery=row, chat=chat, may_be_there=False)
    error = MarkupRefused('can\'t parse entities: Unsupported start tag "hunter2" at byte offset 0')
    Delivery.transition(row.pk, to=DeliveryStatus.SENDING)

    settling.settle_failure(parcel, error, now=time.now_is)

    assert row.reload().is_plain
    assert "markup_refused" in caplog.text
    assert "hunter2" not in caplog.text


def test_link_that_telegram_does_not_take_as_a_button_is_told_as_a_line(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    buttons = [
        [outbox.Button(text="Open", url="http://localhost:8000/"), outbox.Button(text="Stop", data="s")]
    ]
    outbox.send_text(chat, "<b>Done</b>", key="done", buttons=buttons)

    deliver_all(chat, adapter, time)

    shown = ada.sees()[-1]
    assert shown.text == "Done\nOpen: http://localhost:8000/"
    assert shown.button_texts() == ["Stop"]


def test_long_text_is_several_messages_of_which_the_last_has_the_buttons(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    text = "<b>" + "word " * 2_000 + "</b>end"
    telegram.faults.add(Fault("cut_after", times=1))

    outbox.send_text(chat, text, key="long", buttons=[[outbox.Button(text="Yes", data="y")]])
    deliver_all(chat, adapter, time)

    whole = [said for said in ada.texts() if not said.startswith("(again)")]
    assert len(ada.texts()) == 4  # three parts, the first one twice
    assert " ".join(" ".join(whole).split()) == ("word " * 2_000 + "end").strip()
    assert ada.sees()[-1].button_texts() == ["Yes"]


def test_person_who_blocked_the_bot_is_owed_nothing_any_more(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "one", key="one")
    outbox.send_text(chat, "two", key="two")
    ada.blocks()

    deliver_all(chat, adapter, time)

    assert chat.reload().status == ChatStatus.BLOCKED
    assert [row.status for row in Delivery.objects.all()] == [DeliveryStatus.DROPPED] * 2
    assert {row.failure["code"] for row in Delivery.objects.all() if row.failure} == {"chat_blocked"}
    assert len(telegram.calls("sendMessage")) == 1
    assert not Trouble.objects.exists()


def test_chat_that_is_gone_is_told_apart(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    row = outbox.send_text(chat, "one", key="one")
    ada.leaves_telegram()

    deliver_all(chat, adapter, time)

    assert chat.reload().status == ChatStatus.GONE
    assert row.reload().failure["code"] == "chat_gone"


def test_message_that_is_refused_for_good_is_an_operators_trouble_and_holds_up_nobody(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    row = outbox.send_text(chat, "<b> </b>", key="empty")
    outbox.send_text(chat, "two", key="two")

    deliver_all(chat, adapter, time)

    assert row.reload().status == DeliveryStatus.FAILED
    assert Trouble.objects.get().delivery == row
    assert ada.texts() == ["two"]


def test_message_that_could_not_be_sent_in_time_is_an_operators_trouble(
    chat: Chat, adapter: TelegramClient, time: VirtualClock
):
    row = outbox.send_text(chat, "late", key="late")
    time.at(row.deadline_at)

    deliver_all(chat, adapter, time)

    assert row.reload().failure["code"] == "delivery_deadline"
    assert Trouble.objects.get().code == "delivery_deadline"


def test_refused_token_pauses_everybody_and_is_told_once(
    chat: Chat, telegram: TelegramServer, time: VirtualClock, ada: Person
):
    outbox.send_text(chat, "Hi", key="hi")
    with TelegramClient("12345678:nobodys", base_url=telegram.url) as adapter:
        deliver_all(chat, adapter, time, within_seconds=200)

    with TelegramClient(telegram.token, base_url=telegram.url) as adapter:
        deliver_all(chat, adapter, time)

    trouble = Trouble.objects.get()
    assert trouble.code == "telegram_token_refused"
    assert trouble.times <= 5
    assert ada.texts() == ["Hi"]


def test_typing_is_of_the_moment_and_waits_for_no_message(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    for number in range(10):
        outbox.send_text(chat, f"{number}", key=f"m{number}")
    outbox.show_typing(chat)

    deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)

    assert ada.chat.typing == 1
    assert telegram.seen[0].method == "sendChatAction"


def test_tap_is_answered_before_anything_else(
    chat: Chat, telegram: TelegramServer, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "Sure?", key="sure", buttons=[[outbox.Button(text="Yes", data="y")]])
    deliver_all(chat, adapter, time)
    tap = ada.taps("Yes")
    for number in range(10):
        outbox.send_text(chat, f"{number}", key=f"m{number}")

    outbox.answer_callback(chat, callback_query_id=tap.id, text="Noted")
    deliver_chat(chat_id=chat.pk, client=adapter, clock=time.clock)

    assert tap.answer == "Noted"


def test_tap_that_nobody_waits_for_any_more_is_let_go(
    chat: Chat, adapter: TelegramClient, time: VirtualClock
):
    row = outbox.answer_callback(chat, callback_query_id="1", text="Late")

    deliver_all(chat, adapter, time)

    assert row.reload().status == DeliveryStatus.DROPPED
    assert not Trouble.objects.exists()


def test_message_of_a_person_is_deleted(chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock):
    ada.says("123456:secret")
    said = ada.sees()[-1].message_id

    outbox.delete(chat, key="forget", message_id=said)
    deliver_all(chat, adapter, time)

    assert [shown.message_id for shown in ada.sees()] != []
    assert said not in {shown.message_id for shown in ada.sees()}


def test_message_in_several_parts_is_deleted_completely(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "word " * 2_000, key="long")
    deliver_all(chat, adapter, time)

    outbox.delete(chat, key="away", of="long")
    deliver_all(chat, adapter, time)

    assert ada.texts() == []


def test_message_that_is_deleted_before_it_was_sent_is_never_sent(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    outbox.send_text(chat, "Wrong", key="wrong")
    outbox.delete(chat, key="away", of="wrong")

    deliver_all(chat, adapter, time)

    assert ada.texts() == []


def test_message_that_a_dead_process_left_is_not_sent_once_it_is_deleted(
    chat: Chat, adapter: TelegramClient, ada: Person, time: VirtualClock
):
    row = outbox.send_text(chat, "Wrong", key="wrong")
    Delivery.transition(row.pk, to=DeliveryStatus.SENDING, attempts=1)
    outbox.delete(chat, key="away", of="wrong")

    deliver_all(chat, adapter, time)

    assert ada.texts() == []
    assert row.reload().status == DeliveryStatus.DROPPED
