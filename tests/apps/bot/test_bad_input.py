"""What people and Telegram bring that nobody wished for: handled, said, nothing lost; seen at the double.

Everything is real but the clock of the outbox: the updates, the handlers, the rows, the wire.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.bot import cards, chat_tasks, composition, conversing, intake, outbox
from apps.bot.models import Chat, ChatMessage, ChatStatus, Delivery, DeliveryKind, DeliveryStatus, Trouble
from apps.graph.models import Question
from apps.projects.models import Invitation, User
from apps.projects.services import people
from apps.workers.models import Attachment, Turn
from tests.apps.bot.virtual_clock import VirtualClock, deliver_all
from tests.factories import make_project, make_run, make_task, make_user
from tests.telegram_server import Person, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]

EVIL = "<b>\u202eשלום & Ко</b> 👩‍👩‍👧 <script>"


class Line:
    """The bot between the double and the database, one step at a time."""

    def __init__(self, telegram: TelegramServer) -> None:
        self.telegram, self.time = telegram, VirtualClock()

    def hear(self) -> None:
        """Take every update that waits."""
        while self.telegram.bot.updates:
            intake.take(self.telegram.bot.updates.popleft())

    def speak(self, *, within_seconds: float = 3_600.0) -> None:
        """Send everything that is owed."""
        with composition.new_client() as client:
            for chat in Chat.objects.all():
                deliver_all(chat, client, self.time, within_seconds=within_seconds)

    def talk(self) -> None:
        """Hear and answer."""
        self.hear()
        self.speak()

    def lead(self, person: Person) -> None:
        """Lead somebody's conversation on."""
        chat_tasks.converse(user_id=User.objects.get(telegram_id=person.id).pk)

    def friend(self, role: str = "member", **who: str) -> Person:
        """Return somebody who was let in."""
        person = self.telegram.person(**who)
        make_user(role=role, telegram_id=person.id, first_name=who.get("name", "Ada"))
        person.says("/start")
        self.talk()
        return person


@pytest.fixture
def line(telegram: TelegramServer, settings: Any, db: None) -> Line:
    settings.TELEGRAM_BOT_TOKEN = telegram.token
    settings.TELEGRAM_API_BASE_URL = telegram.url
    return Line(telegram)


def test_expired_invitation_is_told_and_lets_nobody_in(line: Line):
    _row, code = people.invite(created_by_id=None, role="member")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    late = line.telegram.person(name="Late")

    late.says(f"/start {code}")
    line.talk()

    assert late.texts() == ["This invitation has expired. Ask for a new one."]
    assert not User.objects.filter(telegram_id=late.id).exists()


def test_person_who_unblocks_the_bot_gets_what_was_said_meanwhile(line: Line):
    ada = line.friend()
    chat = Chat.objects.get()
    ada.blocks()
    line.hear()
    outbox.send_text(chat, "It is done.", key="end")
    line.speak()
    dropped = Delivery.objects.get(idempotency_key="end").status

    ada.unblocks()
    ada.says("/help")
    line.talk()

    assert dropped == DeliveryStatus.DROPPED
    assert ada.texts()[1] == "It is done."
    assert "/projects" in ada.texts()[2]
    assert not Trouble.objects.exists()


@pytest.mark.parametrize("how", ["gone", "upgraded"])
def test_chat_that_is_no_more_is_owed_nothing(line: Line, how: str):
    ada = line.friend()
    setattr(ada.chat, f"is_{how}", True)

    outbox.send_text(Chat.objects.get(), "Hello?", key="hello")
    line.speak()
    calls = len(line.telegram.calls("sendMessage"))
    line.speak()

    assert Chat.objects.get().status == ChatStatus.GONE
    assert Delivery.objects.get(idempotency_key="hello").failure["code"] == "chat_gone"
    assert len(line.telegram.calls("sendMessage")) == calls
    assert not Trouble.objects.exists()


def test_text_that_telegram_cut_in_two_is_read_as_one(line: Line):
    ada = line.friend()
    first, second = "word " * 819, "end of it"

    ada.says(first)
    line.hear()
    line.lead(ada)
    early = Turn.objects.count()
    ada.says(second)
    line.hear()
    line.lead(ada)

    assert early == 0
    assert Turn.objects.get().prompt == f"{first}{second}"


def test_long_text_without_a_second_part_does_not_wait_for_ever(line: Line):
    ada = line.friend()
    ada.says("word " * 819)
    line.hear()
    ChatMessage.objects.update(created_at=timezone.now() - conversing._PARTS_WITHIN)

    line.lead(ada)

    assert Turn.objects.count() == 1


def test_answer_that_is_too_long_for_a_message_comes_in_parts_and_in_order(line: Line):
    ada = line.friend()
    words = [f"word{number}" for number in range(2_000)]

    outbox.send_text(Chat.objects.get(), " ".join(words), key="long")
    line.speak()

    parts = ada.texts()[1:]
    assert len(parts) > 2
    assert " ".join(parts).split() == words


@pytest.mark.parametrize(("more", "is_kept"), [(0, True), (1, False)])
def test_file_of_twenty_megabytes_is_kept_and_a_larger_one_is_told(line: Line, more: int, is_kept: bool):
    ada = line.friend()
    ada.sends_document("film.avi", b"x" * (20 * 1024 * 1024 + more), caption="see")

    line.hear()
    line.lead(ada)
    line.speak()

    assert Attachment.objects.exists() is is_kept
    assert any("film.avi is larger than 20 MB" in text for text in ada.texts()) is not is_kept
    assert ("could not be taken over" in Turn.objects.get().prompt) is not is_kept


def test_five_hundred_messages_of_a_minute_are_heard_in_order_and_answered_once(line: Line):
    ada = line.friend()
    said = [f"message {number}." for number in range(500)]
    calls = len(line.telegram.calls("sendMessage"))
    for text in said:
        ada.says(text)

    line.hear()
    line.lead(ada)
    line.speak()

    assert Turn.objects.get().prompt.split("\n\n") == said
    assert set(ChatMessage.objects.values_list("status", flat=True)) == {"sent"}
    assert len(line.telegram.calls("sendMessage")) == calls
    assert ada.chat.typing <= 2


def test_unknown_button_is_refused_in_an_alert(line: Line):
    ada = line.friend("owner")
    ada.says("/settings")
    line.talk()

    taps = [ada.taps("English", data=data) for data in ("nobody knows this", "<b>&", "ы" * 32)]
    line.talk()

    assert [(tap.answer, tap.is_alert) for tap in taps] == [
        ("This button is not known (any more).", True)
    ] * 3


def test_markup_and_turned_names_are_shown_as_they_are_everywhere(line: Line):
    boss = line.friend("owner", name=EVIL, username="x")
    stranger = line.telegram.person(name=EVIL)
    stranger.says("/start")
    line.talk()
    stranger.taps("Ask for access")
    line.talk()
    owner = User.objects.get(telegram_id=boss.id)
    project = make_project(owner=owner, status="active", name=EVIL, description=EVIL)
    failure = {"stage": "x", "kind": "user", "code": "<i>", "message": EVIL, "retryable": True}
    task = make_task(project=project, spec=EVIL, status="failed", failure=failure, finished_at=timezone.now())
    run = make_run(task=make_task(project=project, spec=EVIL, status="running"))
    _ask(run, options=[EVIL, "<a href='x'>"])

    for command in (
        "/projects",
        f"/project {project.slug}",
        "/status",
        "/tasks",
        "/settings",
        "/users",
        "/stop",
    ):
        boss.says(command)
    boss.says("/project <b>nobody</b>")
    cards.draw(task_id=task.pk)
    cards.draw(task_id=run.task_id)
    line.talk()

    lines = [line for text in boss.texts() for line in text.splitlines()]
    assert sum("<b>" in line for line in lines) >= 8
    # Turned writing turns nothing but a paragraph of its own.
    assert {line for line in lines if "\u202e" in line} <= {EVIL}
    assert not Delivery.objects.filter(is_plain=True).exists()
    assert not Delivery.objects.exclude(status=DeliveryStatus.SENT).exists()


def _ask(run: Any, *, options: list[str]) -> None:
    question = Question.objects.create(
        idempotency_key="evil",
        run=run,
        text=EVIL,
        options=options,
        deadline_at=timezone.now() + timedelta(hours=1),
    )
    chat_tasks.show_question(question_id=str(question.pk))


def test_option_with_markup_is_chosen_by_its_button(line: Line):
    boss = line.friend("owner", name=EVIL)
    project = make_project(owner=User.objects.get(), status="active", name=EVIL)
    _ask(make_run(task=make_task(project=project)), options=["<b>A</b> & B", "C"])
    line.speak()

    tap = boss.taps("<b>A</b> & B")
    line.talk()

    assert Question.objects.get().answer == "<b>A</b> & B"
    assert (tap.answer, tap.is_alert) == ("<b>A</b> & B", False)


def test_revoked_token_of_the_bot_is_told_with_what_to_do_and_nothing_is_lost(line: Line, settings: Any):
    ada = line.friend()
    bot = line.telegram.bots.pop(line.telegram.token)
    outbox.send_text(Chat.objects.get(), "Hello?", key="hello")
    line.speak(within_seconds=100)
    trouble = Trouble.objects.get()

    settings.TELEGRAM_BOT_TOKEN = "12345678:renewed"
    line.telegram.bots["12345678:renewed"] = bot
    line.time.pass_by(60)
    line.speak()

    assert trouble.code == "telegram_token_refused"
    assert "@BotFather" in trouble.message
    assert "TELEGRAM_BOT_TOKEN" in trouble.message
    assert ada.texts()[1:] == ["Hello?"]


def test_typing_is_all_that_a_message_is_answered_with_at_once(line: Line):
    ada = line.friend()
    ada.says("an inventory of books")

    line.hear()

    assert Delivery.objects.latest("pk").kind == DeliveryKind.ACTION
