"""Secrets go from a message into the project's secrets, and stay nowhere else."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps as registry
from django.core import serializers
from django.db import models
from django.utils import timezone

from apps import telegram
from apps.bot import chat_tasks
from apps.bot.models import ChatMessage, Delivery, DeliveryKind, Dialog
from apps.graph.models import Question, QuestionStatus
from apps.projects import services as projects
from apps.projects.models import ProjectSecret
from apps.telegram import BotResult
from tests.apps.bot.updates import somebody
from tests.factories import MANIFEST, make_project, make_run, make_secret, make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]

TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
OTHER = "987654321:AAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
SILENT = BotResult(status=None, error="ConnectTimeout")
ENVIRONMENT = [
    {"key": "BOT_TOKEN", "source": "user_secret", "format": "telegram_bot_token"},
    {"key": "API_KEY", "source": "user_secret"},
]

#: Long values to which nothing can belong any more.
WHOLE = [
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA/+==\n" * 190 + "-----END RSA PRIVATE KEY-----",
    json.dumps({"type": "service_account", "private_key": "k" * 3_900}),
]


class Stage:
    """A person with one project that wants secrets, and Telegram's opinion of bots."""

    def __init__(self) -> None:
        self.phone, self.user = somebody()
        manifest = {**MANIFEST, "environment": ENVIRONMENT}
        self.project = make_project(owner=self.user, status="active", manifest=manifest, name="Jokes")
        self.bots: dict[str, BotResult] = {}
        self.asked: list[str] = []

    def get_me(self, _base_url: str, token: str, **_: Any) -> BotResult:
        self.asked.append(token)
        return self.bots.get(token, BotResult(status=200, username="jokes_bot"))

    def ask(self, key: str = "BOT_TOKEN") -> Question:
        run = make_run(task=make_task(project=self.project))
        question = Question.objects.create(
            idempotency_key=f"question-{key}",
            run=run,
            text="A value is needed.",
            texts={"ru": "Нужно значение."},
            secret_key=key,
            deadline_at=timezone.now() + timedelta(hours=1),
        )
        chat_tasks.show_question(question_id=str(question.pk))
        return question

    def values(self) -> dict[str, str]:
        return dict(ProjectSecret.objects.filter(project=self.project).values_list("key", "value"))

    def deleted(self) -> list[int]:
        rows = Delivery.objects.filter(kind=DeliveryKind.DELETE).order_by("pk")
        return [row.payload["message_id"] for row in rows]


@pytest.fixture
def stage(db: None, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(telegram, "get_me", made.get_me)
    return made


def dump_of_the_bot() -> str:
    """Return everything that the bot's tables hold."""
    rows: list[models.Model] = [
        row for model in registry.get_app_config("bot").get_models() for row in model._default_manager.all()
    ]
    return serializers.serialize("json", rows)


def test_token_is_taken_by_the_dialog_and_is_in_no_row_of_the_bot(stage: Stage):
    stage.phone.writes("/secret jokes BOT_TOKEN".replace("jokes", stage.project.slug))
    update = stage.phone.message(TOKEN)

    stage.phone.does(update)

    assert stage.values() == {"BOT_TOKEN": TOKEN}
    assert stage.deleted() == [update["message"]["message_id"]]
    assert "@jokes_bot" in stage.phone.last()
    assert TOKEN not in dump_of_the_bot()
    assert not Dialog.objects.exists()


def test_question_is_answered_by_its_button(stage: Stage):
    question = stage.ask()

    stage.phone.taps("Give the value")
    stage.phone.writes(TOKEN)
    chat_tasks.show_question(question_id=str(question.pk))

    assert stage.values() == {"BOT_TOKEN": TOKEN}
    assert question.reload().status == QuestionStatus.ANSWERED
    assert "✓" in stage.phone.texts()[0]


def test_question_is_answered_by_a_reply_to_it(stage: Stage):
    stage.ask("API_KEY")
    Delivery.objects.update(message_id=4711)

    stage.phone.writes("hunter2 is my key", reply_to_message={"message_id": 4711})

    assert stage.values() == {"API_KEY": "hunter2 is my key"}
    assert "hunter2" not in dump_of_the_bot()
    assert len(stage.deleted()) == 1


def test_token_that_telegram_does_not_know_is_refused_and_deleted(stage: Stage):
    stage.bots[TOKEN] = BotResult(status=401)
    stage.ask()
    stage.phone.taps("Give the value")

    stage.phone.writes(TOKEN)

    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert "does not know" in stage.phone.last()
    assert Dialog.objects.exists()


def test_token_is_kept_though_telegram_does_not_answer(stage: Stage):
    stage.bots[TOKEN] = BotResult(status=None)
    stage.ask()
    stage.phone.taps("Give the value")

    stage.phone.writes(TOKEN)

    assert stage.values() == {"BOT_TOKEN": TOKEN}
    assert "could not be asked" in stage.phone.last()


@pytest.mark.parametrize("value", ["not a token", "123"])
def test_value_of_another_form_is_refused_and_deleted(stage: Stage, value: str):
    stage.ask()
    stage.phone.taps("Give the value")

    stage.phone.writes(value)

    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert "123456789:AA" in stage.phone.last()


def test_bot_that_people_talk_to_is_refused_and_is_in_no_pool(stage: Stage, settings: Any):
    settings.TELEGRAM_BOT_TOKEN = TOKEN
    settings.TELEGRAM_BOT_TOKENS_POOL = [TOKEN]
    stage.ask()

    offered = list(stage.phone.buttons())
    stage.phone.taps("Give the value")
    stage.phone.writes(TOKEN)

    assert offered == ["Give the value"]
    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert "my own token" in stage.phone.last()


def test_bot_of_another_project_is_refused(stage: Stage):
    from apps.projects.secrets_digest import digest_of

    make_secret(key="BOT_TOKEN", value=TOKEN, format="telegram_bot_token", digest=digest_of(TOKEN))
    stage.ask()
    stage.phone.taps("Give the value")

    stage.phone.writes(TOKEN)

    assert stage.values() == {}
    assert "another project" in stage.phone.last()


def test_token_outside_of_a_dialog_never_reaches_the_assistant(stage: Stage):
    stage.phone.writes(f"my token is {TOKEN}, use it")

    assert not ChatMessage.objects.exists()
    assert len(stage.deleted()) == 1
    assert "Jokes" in stage.phone.buttons()
    assert TOKEN not in dump_of_the_bot()


@pytest.mark.parametrize("text", [f"/new a bot with {TOKEN}", f"/secret jokes BOT_TOKEN {TOKEN}"])
def test_token_in_a_command_is_deleted_too(stage: Stage, text: str):
    stage.phone.writes(text)

    assert not ChatMessage.objects.exists()
    assert len(stage.deleted()) == 1


def test_value_that_comes_along_with_the_command_is_deleted_and_asked_for(stage: Stage):
    stage.phone.writes(f"/secret {stage.project.slug} API_KEY hunter-2")
    stage.phone.writes("hunter-2")

    assert stage.values() == {"API_KEY": "hunter-2"}
    assert len(stage.deleted()) == 2


def test_words_that_are_no_name_and_a_value_are_refused_as_a_name(stage: Stage):
    stage.phone.writes(f"/secret {stage.project.slug} bad name!")

    assert "written like API_KEY" in stage.phone.last()
    assert not Dialog.objects.exists()


@pytest.mark.parametrize("words", ["hunter2pass", "hunter2 pass", "Some_Key"])
def test_word_that_may_be_a_value_is_no_name(stage: Stage, words: str):
    stage.phone.writes(f"/secret {stage.project.slug} {words}")

    assert "written like API_KEY" in stage.phone.last()
    assert words.split()[0].casefold() not in stage.phone.last().replace("API_KEY", "").casefold()
    assert not Dialog.objects.exists()
    assert len(stage.deleted()) == 1


@pytest.mark.parametrize("written", ["api_key", "bot_token", "mail_key"])
def test_known_name_may_be_written_in_small_letters(stage: Stage, written: str):
    make_secret(project=stage.project, key="MAIL_KEY", value="earlier")

    stage.phone.writes(f"/secret {stage.project.slug} {written}")

    assert Dialog.objects.get().key == written.upper()
    assert stage.deleted() == []


@pytest.mark.parametrize("words", ["nowhere API_KEY", "{slug} bad-name"])
def test_value_in_a_command_that_is_refused_is_deleted(stage: Stage, words: str):
    stage.phone.writes(f"/secret {words.format(slug=stage.project.slug)} hunter-2")

    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert not Dialog.objects.exists()


def test_value_that_nobody_could_take_is_deleted(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    stage.phone.writes(f"/secret {stage.project.slug} API_KEY")

    def fail(**_: Any) -> None:
        raise KeyError("the store is broken")

    monkeypatch.setattr(projects, "set_secret", fail)
    stage.phone.writes("hunter-2")

    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert "hunter-2" not in dump_of_the_bot()


def test_value_that_telegram_cuts_is_refused_and_its_rest_is_read_by_nobody(stage: Stage):
    stage.ask("API_KEY")
    stage.phone.taps("Give the value")
    value = "".join(f"part-{number:04}-" for number in range(500))[:4_996]

    stage.phone.writes(value[:4_096])
    stage.phone.writes(value[4_096:])
    told = " ".join(stage.phone.texts())
    Dialog.objects.update(expires_at=timezone.now())
    stage.phone.writes("good morning")

    assert "too long" in told
    assert "orchestrator project secret" in told
    assert stage.values() == {}
    assert len(stage.deleted()) == 2
    assert ChatMessage.objects.get().text == "good morning"
    assert "part-" not in dump_of_the_bot()


@pytest.mark.parametrize("value", WHOLE)
def test_long_value_to_which_nothing_can_belong_any_more_is_kept(stage: Stage, value: str):
    stage.ask("API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes(value)
    stage.phone.writes("good morning")

    assert 3_500 < len(value) < 4_096
    assert stage.values() == {"API_KEY": value}
    assert "is stored" in stage.phone.texts()[-1]
    assert ChatMessage.objects.get().text == "good morning"
    assert value[:40] not in dump_of_the_bot()


@pytest.mark.parametrize(
    ("head", "value"),
    [("", WHOLE[0]), ("/secret {slug} API_KEY ", WHOLE[0]), ("/secret {slug} API_KEY ", WHOLE[1])],
)
def test_nothing_comes_behind_a_whole_value_that_nobody_asked_for(stage: Stage, head: str, value: str):
    stage.phone.writes(head.format(slug=stage.project.slug) + value)
    told = stage.phone.last()
    Dialog.objects.filter(kind="secret").delete()
    stage.phone.writes("good morning")

    assert "too long" not in told
    assert len(stage.deleted()) == 1
    assert ChatMessage.objects.get().text == "good morning"
    assert value[:40] not in dump_of_the_bot()


@pytest.mark.parametrize(
    "value",
    ["k" * 3_700, "{" * 3_700, "-----BEGIN PRIVATE KEY-----\n" + "MII=\n" * 730, json.dumps(["k" * 3_700])],
)
def test_long_value_that_may_go_on_is_refused_and_that_is_said(stage: Stage, value: str):
    stage.ask("API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes(value)

    assert 3_500 < len(value) < 4_096
    assert "too long" in stage.phone.texts()[-1]
    assert stage.values() == {}
    assert len(stage.deleted()) == 1


@pytest.mark.parametrize("head", ["/secret {slug} API_KEY ", f"{TOKEN} and "])
def test_rest_of_what_nobody_asked_for_is_read_by_nobody(stage: Stage, head: str):
    first = head.format(slug=stage.project.slug).ljust(4_096, "z")

    stage.phone.writes(first)
    stage.phone.writes("z" * 4_096)
    stage.phone.writes("zz the end")

    assert stage.values() == {}
    assert len(stage.deleted()) == 3
    assert not ChatMessage.objects.exists()


def test_value_that_begins_with_a_slash_is_no_command(stage: Stage):
    stage.ask("API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes("/Zk3Jd82hsKq0")

    assert stage.values() == {"API_KEY": "/Zk3Jd82hsKq0"}
    assert len(stage.deleted()) == 1


@pytest.mark.parametrize("caption", ["", "hunter-2"])
def test_file_is_no_value_and_does_not_stay_in_the_chat(stage: Stage, caption: str):
    stage.ask("API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes(document={"file_id": "f", "file_name": "key.txt"}, caption=caption)
    told = stage.phone.last()
    stage.phone.writes("hunter-3")

    assert "as text" in told
    assert stage.values() == {"API_KEY": "hunter-3"}
    assert len(stage.deleted()) == 2
    assert not ChatMessage.objects.exists()


def test_token_in_an_edited_message_is_deleted(stage: Stage):
    update = stage.phone.message(TOKEN)
    update["edited_message"] = update.pop("message")

    stage.phone.does(update)

    assert len(stage.deleted()) == 1


def test_value_that_comes_too_late_is_not_kept_and_not_read(stage: Stage):
    stage.ask()
    stage.phone.taps("Give the value")
    Dialog.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    stage.phone.writes("some password")

    assert stage.values() == {}
    assert len(stage.deleted()) == 1
    assert not ChatMessage.objects.exists()


def test_dialog_ends_by_its_button(stage: Stage):
    stage.ask()
    stage.phone.taps("Give the value")
    stage.phone.taps("Not now")
    stage.phone.writes("hello")

    assert ChatMessage.objects.count() == 1
    assert not Dialog.objects.exists()


def test_value_that_follows_a_command_is_still_taken_and_that_is_said(stage: Stage):
    stage.ask(key="API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes("/status")
    reminder = stage.phone.last()
    stage.phone.writes("hunter2-correct-horse")

    assert "I still expect the value of" in reminder
    assert stage.values() == {"API_KEY": "hunter2-correct-horse"}
    assert len(stage.deleted()) == 1
    assert not ChatMessage.objects.exists()


def test_another_secret_asked_for_takes_the_place_of_the_first(stage: Stage):
    stage.ask(key="API_KEY")
    stage.phone.taps("Give the value")

    stage.phone.writes(f"/secret {stage.project.slug} MAIL_KEY")

    assert "I still expect" not in stage.phone.last()
    assert Dialog.objects.get().key == "MAIL_KEY"


def test_bot_of_the_pool_is_taken_by_one_tap(stage: Stage, settings: Any):
    settings.TELEGRAM_BOT_TOKENS_POOL = [OTHER, TOKEN]
    stage.bots = {OTHER: BotResult(status=401), TOKEN: SILENT}
    question = stage.ask()
    del stage.bots[TOKEN]

    stage.phone.taps("bot from the pool")

    assert stage.values() == {"BOT_TOKEN": TOKEN}
    assert question.reload().status == QuestionStatus.ANSWERED
    assert "@jokes_bot" in stage.phone.last()


def test_empty_pool_is_offered_to_nobody(stage: Stage, settings: Any):
    settings.TELEGRAM_BOT_TOKENS_POOL = []

    stage.ask()

    assert list(stage.phone.buttons()) == ["Give the value"]


def test_bot_of_the_pool_that_is_gone_meanwhile_is_told(stage: Stage, settings: Any):
    settings.TELEGRAM_BOT_TOKENS_POOL = [TOKEN]
    stage.bots[TOKEN] = SILENT
    stage.ask()
    data = stage.phone.button("bot from the pool")
    settings.TELEGRAM_BOT_TOKENS_POOL = []

    answer = stage.phone.does(stage.phone.tap(data))[-1]

    assert "No bot of the pool is free" in answer.payload["text"]


def test_secret_of_a_foreign_project_is_given_by_nobody_else(stage: Stage):
    stranger, _ = somebody()

    stranger.writes(f"/secret {stage.project.slug} API_KEY")

    assert not Dialog.objects.exists()
    assert "does not exist" in stranger.last()


def test_button_of_somebody_else_does_nothing(stage: Stage):
    question = stage.ask()
    data = stage.phone.button("Give the value")
    stranger, _ = somebody()

    answer = stranger.does(stranger.tap(data))[-1]

    assert "not yours" in answer.payload["text"]
    assert not Dialog.objects.exists()
    assert question.reload().status == QuestionStatus.OPEN


def test_secrets_are_listed_by_name_only(stage: Stage):
    make_secret(project=stage.project, key="API_KEY", value="s3cret-value")

    stage.phone.writes(f"/secret {stage.project.slug}")

    assert "○ <code>BOT_TOKEN</code>" in stage.phone.last()
    assert "✓ <code>API_KEY</code>" in stage.phone.last()
    assert "s3cret" not in stage.phone.last()
