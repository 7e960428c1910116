"""Updates that Telegram has to be asked about wait in a row, in order, and whoever brings them does not."""

import time
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.bot import intake, routing, tidying
from apps.bot.models import Delivery, DeliveryKind, HeldUpdate, ProcessedUpdate, Trouble
from apps.encryption import cipher
from apps.projects.models import ProjectSecret
from tests.apps.bot.updates import Phone, somebody
from tests.factories import MANIFEST, make_project
from tests.telegram_server import Fault, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]

TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(autouse=True)
def asked(telegram: TelegramServer, settings: Any, monkeypatch: pytest.MonkeyPatch) -> TelegramServer:
    settings.TELEGRAM_BOT_TOKEN = telegram.token
    settings.TELEGRAM_API_BASE_URL = telegram.url
    monkeypatch.setattr(routing, "_ASK_SECONDS", 0.3)
    telegram.add_bot(TOKEN, username="jokes_bot")
    return telegram


@pytest.fixture
def phone(db: None) -> Phone:
    """Somebody whom the bot has asked for a token."""
    phone, user = somebody()
    environment = [{"key": "BOT_TOKEN", "source": "user_secret", "format": "telegram_bot_token"}]
    manifest = {**MANIFEST, "environment": environment}
    project = make_project(owner=user, status="active", manifest=manifest, name="Jokes")
    phone.writes(f"/secret {project.slug} BOT_TOKEN")
    return phone


def test_value_of_a_secret_is_held_while_telegram_is_silent_and_kept_all_the_same(
    phone: Phone, asked: TelegramServer
):
    asked.faults.add(Fault("slow", "getMe", seconds=10))
    began = time.monotonic()

    intake.take(phone.message(TOKEN))
    seconds = time.monotonic() - began
    held = HeldUpdate.objects.count()
    intake.take_held(chat_id=phone.id)

    assert seconds < 0.5
    assert (held, HeldUpdate.objects.count()) == (1, 0)
    assert ProjectSecret.objects.get().value == TOKEN
    assert "could not be asked" in phone.last()
    assert Delivery.objects.filter(kind=DeliveryKind.DELETE).exists()


def test_held_update_is_unreadable_in_the_database(phone: Phone):
    intake.take(phone.message(TOKEN))

    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM bot_heldupdate")
        ((stored,),) = cursor.fetchall()

    assert TOKEN not in stored
    assert TOKEN in HeldUpdate.objects.get().body


def test_what_comes_behind_a_held_update_waits_for_its_turn(phone: Phone):
    other, _ = somebody()

    intake.take(phone.message(TOKEN))
    intake.take(phone.message("/projects"))
    intake.take(other.message("/projects"))
    told_before = (phone.texts()[1:], other.texts())
    intake.take_held(chat_id=phone.id)

    assert told_before == ([], ["There are no projects yet. Write what you want to have built."])
    assert "@jokes_bot" in phone.texts()[1]
    assert "Jokes" in phone.texts()[2]


def test_update_that_comes_again_is_neither_held_nor_handled_twice(phone: Phone):
    update = phone.message(TOKEN)

    intake.take(update)
    intake.take(update)
    intake.take_held(chat_id=phone.id)
    intake.take(update)

    assert not HeldUpdate.objects.exists()
    assert ProcessedUpdate.objects.filter(pk=update["update_id"]).count() == 1
    assert sum("is stored" in text for text in phone.texts()) == 1


def test_person_sees_at_once_that_a_held_message_came(phone: Phone):
    intake.take(phone.message(TOKEN))

    assert Delivery.objects.latest("pk").kind == DeliveryKind.ACTION


def test_held_update_whose_hint_was_lost_is_hinted_at(phone: Phone, monkeypatch: pytest.MonkeyPatch):
    hinted: list[int] = []
    monkeypatch.setattr(intake, "enqueue", lambda _task, **ids: hinted.append(ids["chat_id"]))
    intake.take(phone.message(TOKEN))
    hinted.clear()

    intake.hint_at_held(now=timezone.now())
    at_once = list(hinted)
    intake.hint_at_held(now=timezone.now() + 2 * intake._LATE)

    assert (at_once, hinted) == ([], [phone.id])


def test_ordinary_update_is_handled_at_once(phone: Phone):
    intake.take(phone.message("/projects"))

    assert "Jokes" in phone.last()
    assert not HeldUpdate.objects.exists()


def test_held_update_that_nobody_can_take_is_forgotten(phone: Phone):
    intake.take(phone.message(TOKEN))
    HeldUpdate.objects.update(created_at=timezone.now() - 2 * tidying._UPDATES_FOR)

    tidying.forget_old()

    assert not HeldUpdate.objects.exists()


@pytest.mark.parametrize("body", ["of a key that was dropped", cipher().encrypt(b"{").decode()])
def test_held_update_that_cannot_be_read_is_told_of_and_blocks_nobody(phone: Phone, body: str):
    intake.take(phone.message(TOKEN))
    intake.take(phone.message("/projects"))
    with connection.cursor() as cursor:
        first = HeldUpdate.objects.order_by("pk").values_list("pk", flat=True)[0]
        cursor.execute("UPDATE bot_heldupdate SET body = %s WHERE update_id = %s", [body, first])

    intake.take_held(chat_id=phone.id)

    told = phone.texts()
    assert any("was not handled" in text for text in told)
    assert "Jokes" in told[-1]
    assert Trouble.objects.get().code == "held_update_unreadable"
    assert not HeldUpdate.objects.exists()
