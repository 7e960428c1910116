"""What people say reaches their Product Owner in turns, and its words come back."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.bot import chat_tasks, conversing, tidying
from apps.bot.models import ChatFile, ChatMessage, Conversation, Delivery, DeliveryKind, FileStatus
from apps.bot.telegram import Refused, TelegramUnavailable
from apps.graph import services as graph
from apps.graph.asking import ask_person
from apps.graph.models import Question
from apps.workers import messages
from apps.workers.models import Attachment, Turn, TurnStatus, Worker, WorkerStatus
from tests.apps.bot.updates import somebody

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Files:
    """Telegram's files, some of which cannot be had."""

    def __init__(self, content: bytes = b"content", error: Exception | None = None) -> None:
        self.content, self.error = content, error

    def fetch_file(self, file_id: str, *, max_bytes: int) -> bytes:
        if self.error is not None:
            raise self.error
        assert len(self.content) <= max_bytes
        return self.content


class Talker:
    """A person in a conversation, and the Product Owner's part of it as a test plays it."""

    def __init__(self) -> None:
        self.phone, self.user = somebody()

    def converse(self, files: Files | None = None) -> None:
        conversing.converse(user_id=self.user.pk, downloads=files or Files())

    @property
    def turn(self) -> Turn:
        return Turn.objects.filter(worker__owner_id=self.user.pk).latest("created_at")

    @property
    def worker(self) -> Worker:
        return Worker.objects.filter(owner_id=self.user.pk).latest("created_at")

    def respond(self, text: str) -> None:
        messages.record(worker=self.worker, text=text)

    def finish(self, summary: str = "", *, status: str = TurnStatus.SUCCEEDED, code: str = "") -> None:
        failure = {"stage": "turn", "kind": "platform", "code": code, "message": "No.", "retryable": True}
        Turn.transition(
            self.turn.pk,
            to=status,
            summary=summary,
            failure=failure if code else None,
            finished_at=timezone.now(),
        )

    def statuses(self) -> list[str]:
        return list(ChatMessage.objects.order_by("pk").values_list("status", flat=True))

    def age(self, **ago: float) -> None:
        """Let it be some time since the person heard anything."""
        Conversation.objects.update(heard_at=timezone.now() - timedelta(**ago))

    def wait(self, long: timedelta) -> None:
        """Let it be so long since the person wrote what nobody has read."""
        unread = ChatMessage.objects.filter(status="pending")
        unread.update(status_changed_at=timezone.now() - long)


@pytest.fixture
def talker(db: None) -> Talker:
    return Talker()


def test_words_become_a_turn_and_its_end_an_answer(talker: Talker):
    talker.phone.writes("an inventory of books")

    talker.converse()
    prompt = talker.turn.prompt
    talker.finish("I have begun.")
    talker.converse()
    talker.converse()

    assert prompt == "an inventory of books"
    assert talker.phone.texts() == ["I have begun."]
    assert talker.statuses() == ["answered"]


def test_turn_may_take_as_long_as_the_operator_says(talker: Talker, settings: Any):
    settings.WORKERS_TURN_TIMEOUT_SECONDS = 77
    talker.phone.writes("an inventory of books")

    talker.converse()

    assert talker.turn.timeout_seconds == 77


def test_message_is_acknowledged_at_once(talker: Talker):
    owed = talker.phone.writes("hello")

    assert [row.kind for row in owed] == [DeliveryKind.ACTION]


def test_what_is_said_meanwhile_is_joined_into_the_next_turn(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    for number in range(100):
        talker.phone.writes(f"more {number}")
    talker.converse()
    talker.finish("Yes?")
    talker.converse()

    prompts = list(Turn.objects.order_by("number").values_list("prompt", flat=True))
    assert len(prompts) == 2
    assert prompts[1].startswith("more 0\n\nmore 1\n\n")
    assert prompts[1].endswith("more 99")
    assert Delivery.objects.filter(kind=DeliveryKind.TEXT).count() == 1


def test_quick_commands_are_answered_while_the_assistant_works(talker: Talker):
    talker.phone.writes("one")
    talker.converse()

    talker.phone.writes("/projects")

    assert "no projects yet" in talker.phone.last()
    assert Turn.objects.count() == 1


def test_responses_are_passed_on_once_and_the_equal_end_is_not(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    talker.respond("Working **on** it & `x<y`")
    talker.converse()
    talker.respond("Done.")
    talker.finish("Done.")
    talker.converse()
    talker.converse()

    assert talker.phone.texts() == ["Working <b>on</b> it &amp; <code>x&lt;y</code>", "Done."]


def test_silent_end_is_told_in_a_sentence(talker: Talker):
    talker.phone.writes("one")
    talker.converse()

    talker.finish("")
    talker.converse()

    assert "nothing to say" in talker.phone.last()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (TurnStatus.CRASHED, "worker_died", "broke off (worker_died)"),
        (TurnStatus.FAILED, "timeout", "took too long"),
        (TurnStatus.CRASHED, "agent_stalled", "took too long"),
        (TurnStatus.CANCELED, "", "was stopped"),
    ],
)
def test_failure_is_told_and_the_message_can_be_handed_over_again(
    talker: Talker, status: str, code: str, said: str
):
    talker.phone.writes("one")
    talker.converse()
    talker.finish(status=status, code=code or "canceled")
    Worker.transition(talker.worker.pk, to=WorkerStatus.CANCELING)
    Worker.transition(talker.worker.pk, to=WorkerStatus.CRASHED, removed_at=timezone.now())
    talker.converse()

    told, statuses = talker.phone.last(), talker.statuses()
    talker.phone.taps("once more")
    talker.converse()

    assert said in told
    assert statuses == ["failed"]
    assert talker.statuses() == ["sent"]
    assert Worker.objects.count() == 2
    assert Worker.objects.values("session_id").distinct().count() == 1


def test_long_silence_is_broken_by_one_message_that_is_edited_and_removed(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    talker.age(seconds=19)
    talker.converse()
    talker.age(seconds=48)
    talker.converse()
    notices = Delivery.objects.filter(kind=DeliveryKind.CARD)
    said = notices.get().payload["text"]

    talker.finish("Here.")
    talker.converse()

    assert "45 s" in said
    assert Delivery.objects.filter(
        kind=DeliveryKind.DELETE, payload__of=notices.get().idempotency_key
    ).exists()


def test_busy_worker_is_waited_for(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    Conversation.objects.update(turn_id=None)
    talker.phone.writes("two")

    talker.converse()

    assert talker.statuses() == ["sent", "pending"]
    assert tidying.find_conversations() == [talker.user.pk]
    assert not Delivery.objects.filter(kind=DeliveryKind.CARD).exists()


@pytest.mark.parametrize("end", ["answered", "given up"])
def test_whoever_waits_for_a_busy_worker_is_told_so_until_the_end(
    talker: Talker, end: str, monkeypatch: pytest.MonkeyPatch
):
    talker.phone.writes("one")
    talker.converse()
    Conversation.objects.update(turn_id=None)
    talker.phone.writes("two")
    talker.wait(conversing.NOTICE_AFTER)
    talker.converse()
    talker.converse()
    notice = Delivery.objects.get(kind=DeliveryKind.CARD)

    if end == "answered":
        talker.finish("Yes?")
    else:
        monkeypatch.setattr(conversing, "PATIENCE", conversing.NOTICE_AFTER)
    talker.converse()

    assert "Still working" in notice.payload["text"]
    gone = Delivery.objects.get(kind=DeliveryKind.DELETE)
    assert gone.payload["of"] == notice.idempotency_key


def test_nobody_waits_for_ever(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    Conversation.objects.update(turn_id=None)
    talker.phone.writes("two")
    talker.wait(conversing.PATIENCE)

    talker.converse()

    assert talker.statuses() == ["sent", "failed"]
    assert "could not be handed over" in talker.phone.last()


def photo(**fields: Any) -> dict[str, Any]:
    return {"photo": [{"file_id": "small"}, {"file_id": "large", **fields}], "caption": "like this"}


def test_files_are_kept_for_the_product_owner_and_named_in_the_prompt(talker: Talker):
    talker.phone.writes(**photo())

    talker.converse(Files(b"pixels"))

    kept = Attachment.objects.get()
    assert (kept.owner_id, kept.size_bytes) == (talker.user.pk, 6)
    assert talker.turn.prompt == f"like this\n[Attached file 'photo'; its id is {kept.pk}]"


def test_file_over_twenty_megabytes_is_told_and_gone_without(talker: Talker):
    document = {"file_id": "big", "file_name": "film.avi", "file_size": 21 * 1024 * 1024}
    talker.phone.writes(document=document, caption="see")

    talker.converse()

    assert "larger than 20 MB" in talker.phone.last()
    assert talker.turn.prompt == "see\n[A file 'film.avi' was sent and could not be taken over]"


def test_file_that_is_gone_at_telegram_is_refused(talker: Talker):
    talker.phone.writes(**photo())

    talker.converse(Files(error=Refused("gone")))

    assert ChatFile.objects.get().status == FileStatus.REFUSED
    assert "could not be taken over" in talker.turn.prompt


def test_file_is_asked_for_again_while_telegram_is_away_and_not_for_ever(talker: Talker):
    talker.phone.writes(**photo())

    for _ in range(4):
        talker.converse(Files(error=TelegramUnavailable()))
    waiting = talker.statuses()
    talker.converse(Files(error=TelegramUnavailable()))

    assert waiting == ["pending"]
    assert talker.statuses() == ["sent"]


def test_many_files_are_taken_over_a_few_at_a_time(talker: Talker):
    for _ in range(5):
        talker.phone.writes(**photo())

    again = [conversing.converse(user_id=talker.user.pk, downloads=Files()) for _ in range(2)]

    assert again == [True, False]
    assert talker.turn.prompt.count("Attached file") == 5


def test_secret_in_an_answer_never_reaches_the_assistant(talker: Talker):
    talker.phone.writes("a bot")
    talker.converse()
    question_id = ask_person(worker_id=talker.worker.pk, text="Your token?")
    chat_tasks.show_question(question_id=str(question_id))
    talker.phone.taps("Write the answer")

    talker.phone.writes("123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

    assert Question.objects.get().answer == ""
    assert ChatMessage.objects.count() == 1
    assert Delivery.objects.filter(kind=DeliveryKind.DELETE).count() == 1


def test_answer_to_a_question_is_the_next_turn(talker: Talker):
    talker.phone.writes("a bot")
    talker.converse()
    question_id = ask_person(worker_id=talker.worker.pk, text="Which jokes?", options=["dad", "dark"])
    chat_tasks.show_question(question_id=str(question_id))
    talker.finish("")
    talker.converse()

    talker.phone.taps("dark")
    chat_tasks.show_question(question_id=str(question_id))
    talker.converse()

    assert "dark" in talker.turn.prompt
    assert talker.turn.number == 2
    assert "✓ dark" in talker.phone.texts()[0]


def test_any_words_answer_a_question_without_options(talker: Talker):
    talker.phone.writes("a bot")
    talker.converse()
    question_id = ask_person(worker_id=talker.worker.pk, text="What for?")
    chat_tasks.show_question(question_id=str(question_id))
    talker.finish("")
    talker.converse()

    talker.phone.writes("for my shop")
    chat_tasks.show_question(question_id=str(question_id))
    talker.converse()

    assert Question.objects.get().answer == "for my shop"
    assert ChatMessage.objects.count() == 2


def test_who_goes_on_talking_withdraws_the_question(talker: Talker):
    talker.phone.writes("a bot")
    talker.converse()
    ask_person(worker_id=talker.worker.pk, text="Which?", options=["a", "b"])

    talker.phone.writes("something else entirely")

    assert Question.objects.get().status == "withdrawn"
    assert ChatMessage.objects.count() == 2


def test_lost_hints_are_found_by_the_sweep(talker: Talker):
    talker.phone.writes("a bot")
    talker.converse()
    question_id = ask_person(worker_id=talker.worker.pk, text="Which?", options=["a", "b"])
    unshown = tidying.find_questions()
    chat_tasks.show_question(question_id=str(question_id))
    shown = tidying.find_questions()
    graph.answer_question(question_id=question_id, text="a")
    answered = tidying.find_questions()
    chat_tasks.show_question(question_id=str(question_id))

    assert (unshown, shown, answered) == ([question_id], [], [question_id])
    assert tidying.find_questions() == []
    assert tidying.find_conversations() == [talker.user.pk]


def test_assistant_is_stopped_by_a_tap(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    talker.phone.writes("/stop")

    talker.phone.taps("Stop the assistant")

    assert talker.worker.status == WorkerStatus.CANCELING


def test_words_of_others_are_not_passed_on(talker: Talker):
    talker.phone.writes("one")
    talker.converse()
    other = Talker()
    other.phone.writes("two")
    other.converse()
    other.respond("for the other")

    talker.converse()

    assert talker.phone.texts() == []
