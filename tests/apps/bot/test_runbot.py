"""The bot's process: one at a time, every update until it is handled, and a quick end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from apps import lease
from apps.bot import composition, outbox, polling, running, sweep, tasks, ticking
from apps.bot.models import Chat, Delivery, DeliveryStatus, ProcessedUpdate, Trouble
from apps.bot.running import BotProcess, LeaseLost
from tests.telegram_server import Fault, TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]
#: For what other threads and processes have to see.
committed = pytest.mark.django_db(transaction=True)

SECONDS = 20.0


@pytest.fixture(autouse=True)
def telegram(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TelegramServer]:
    monkeypatch.setattr(running, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(running, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(polling, "_FIRST_PAUSE_SECONDS", 0.1)
    with TelegramServer() as server:
        settings.TELEGRAM_BOT_TOKEN = server.token
        settings.TELEGRAM_API_BASE_URL = server.url
        settings.TELEGRAM_MODE = "polling"
        yield server
        composition.close_client()


class Ear:
    """Takes updates, and remembers what was said."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.failures = 0

    def __call__(self, update: Mapping[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise OperationalError("the database is away")
        self.heard.append(update["message"]["text"])


def until(is_so: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Runner(threading.Thread):
    """A bot in a thread of its own; remembers how it ended."""

    def __init__(self, ear: Ear) -> None:
        super().__init__(daemon=True)
        self.process = BotProcess(handle=ear, menu=lambda language: {"help": f"help in {language}"})
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.process.run()
        except Exception as error:
            self.error = error
        finally:
            connection.close()

    def end(self) -> None:
        self.process.stop()
        self.join(SECONDS)
        assert not self.is_alive()


@contextmanager
def bot(ear: Ear) -> Iterator[Runner]:
    runner = Runner(ear)
    runner.start()
    try:
        yield runner
    finally:
        runner.end()


def test_updates_are_taken_one_after_the_other_and_confirmed(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    for number in range(5):
        ada.says(f"{number}")

    with bot(ear):
        until(lambda: len(ear.heard) == 5)
        ada.says("5")
        until(lambda: len(ear.heard) == 6 and not telegram.bot.updates)
        ada.says("6")
        until(lambda: len(ear.heard) == 7)

    assert ear.heard == ["0", "1", "2", "3", "4", "5", "6"]


def test_updates_that_come_the_wrong_way_round_are_taken_in_order(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    telegram.faults.are_updates_reversed = True
    for number in range(5):
        ada.says(f"{number}")

    with bot(ear):
        until(lambda: len(ear.heard) == 5)

    assert ear.heard == ["0", "1", "2", "3", "4"]


def test_update_that_was_not_taken_comes_again_before_the_next_one(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    ear.failures = 1
    ada.says("first")
    ada.says("second")

    with bot(ear):
        until(lambda: len(ear.heard) == 2)

    assert ear.heard == ["first", "second"]


def test_wait_for_updates_ends_at_once_when_told_to_stop(telegram: TelegramServer):
    with bot(Ear()) as runner:
        until(lambda: telegram.bot.polls_at_once)
        began = time.monotonic()

        runner.end()

    assert time.monotonic() - began < 8
    assert runner.error is None


def test_second_bot_waits_for_the_end_of_the_first(telegram: TelegramServer):
    ada, first_ear, second_ear = telegram.person(), Ear(), Ear()

    with bot(first_ear) as first:
        until(lambda: telegram.bot.polls_at_once)
        with bot(second_ear):
            ada.says("to the first")
            until(lambda: first_ear.heard)
            time.sleep(0.3)
            heard_by_second = list(second_ear.heard)
            first.end()
            ada.says("to the second")
            until(lambda: second_ear.heard)

    assert heard_by_second == []
    assert second_ear.heard == ["to the second"]
    assert telegram.bot.most_polls_at_once == 1


def test_bot_whose_lease_is_lost_ends(telegram: TelegramServer):
    with bot(Ear()) as runner:
        until(lambda: telegram.bot.polls_at_once)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'runbot' AND datname = current_database()"
            )
        runner.join(SECONDS)

    assert isinstance(runner.error, LeaseLost)


@committed
def test_stranger_who_polls_for_the_same_bot_is_told_to_the_operator(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    with bot(ear):
        until(lambda: telegram.bot.polls_at_once)

        httpx.post(f"{telegram.url}/bot{telegram.token}/getUpdates", trust_env=False)
        until(lambda: Trouble.objects.filter(code="telegram_polling_conflict", resolved_at=None).exists())
        ada.says("after all")
        until(lambda: Trouble.objects.filter(resolved_at__isnull=False).exists() and ear.heard)

    assert ear.heard == ["after all"]
    assert "Stop the other process" in Trouble.objects.get().message


def test_polling_takes_over_from_a_webhook(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    telegram.bot.webhook.url = "https://gone.example.org/"
    ada.says("hello")

    with bot(ear):
        until(lambda: ear.heard)

    assert telegram.bot.webhook.url == ""


def test_menu_is_shown_in_every_language(telegram: TelegramServer):
    with bot(Ear()):
        until(lambda: telegram.bot.polls_at_once)

    assert len(telegram.calls("setMyCommands")) == 2


def test_telegram_that_is_away_for_a_while_is_borne(telegram: TelegramServer):
    ada, ear = telegram.person(), Ear()
    telegram.faults.add(Fault("error", method="*", times=5))
    ada.says("hello")

    with bot(ear):
        until(lambda: ear.heard)

    assert ear.heard == ["hello"]


@committed
def test_token_that_is_revoked_is_told_to_the_operator_with_what_to_do(telegram: TelegramServer):
    with bot(Ear()):
        until(lambda: telegram.bot.polls_at_once)
        telegram.bots.clear()
        telegram.bot.push()  # ends the wait for news
        until(Trouble.objects.exists)

    found = Trouble.objects.get()
    assert found.code == "telegram_token_refused"
    assert "@BotFather" in found.message
    assert telegram.token not in found.message


def test_webhook_is_set_with_the_secret(telegram: TelegramServer, settings: Any):
    settings.TELEGRAM_MODE = "webhook"
    settings.TELEGRAM_WEBHOOK_URL = "https://bot.example.org/"

    with bot(Ear()):
        until(lambda: telegram.bot.webhook.url)

    assert telegram.bot.webhook.url == "https://bot.example.org/webhooks/telegram"
    assert len(telegram.bot.webhook.secret) == 64


def test_webhook_that_somebody_took_away_is_set_again_and_its_problem_is_told_once(
    telegram: TelegramServer, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(running, "_CHECK_SECONDS", 0.05)
    settings.TELEGRAM_MODE = "webhook"
    settings.TELEGRAM_WEBHOOK_URL = "https://bot.example.org"

    with bot(Ear()):
        until(lambda: telegram.bot.webhook.url)
        telegram.bot.webhook.last_error = "Wrong response from the webhook: 502 Bad Gateway"
        until(lambda: "502 Bad Gateway" in caplog.text)
        telegram.bot.webhook.url = "https://other.example.org/"
        until(lambda: len(telegram.calls("setWebhook")) == 2)
        looks = len(telegram.calls("getWebhookInfo"))
        until(lambda: len(telegram.calls("getWebhookInfo")) > looks + 2)

    assert telegram.bot.webhook.url == "https://bot.example.org/webhooks/telegram"
    assert caplog.text.count("502 Bad Gateway") == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TELEGRAM_BOT_TOKEN": ""}, "TELEGRAM_BOT_TOKEN is not set"),
        ({"TELEGRAM_MODE": "pigeon"}, "TELEGRAM_MODE must be"),
        ({"TELEGRAM_MODE": "webhook", "TELEGRAM_WEBHOOK_URL": ""}, "needs TELEGRAM_WEBHOOK_URL"),
        ({"TELEGRAM_MODE": "webhook", "TELEGRAM_WEBHOOK_URL": "http://bot.example.org"}, "https://HOST"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, more: dict[str, str], words: str):
    for name, value in more.items():
        setattr(settings, name, value)

    with pytest.raises(CommandError, match=words):
        call_command("runbot")


def test_composed_bot_without_a_token_ends_well(settings: Any, capsys: pytest.CaptureFixture[str]):
    settings.TELEGRAM_BOT_TOKEN = ""

    call_command("runbot", "--if-configured")

    assert "there is no bot" in capsys.readouterr().out


def test_lease_is_one_processs_until_its_session_ends():
    first, second = lease.Lease("x"), lease.Lease("x")
    try:
        taken = [first.try_take(), second.try_take()]
        first.release()
        until(second.try_take)
        held = [first.is_held(), second.is_held()]
    finally:
        first.release()
        second.release()

    assert taken == [True, False]
    assert held == [False, True]


def test_tick_hints_at_a_chat_once_while_the_hint_is_on_its_way(chat: Chat):
    outbox.send_text(chat, "Hi", key="hi")
    ticker = ticking.Ticker(stopping=threading.Event())

    hinted = [ticker.tick(), ticker.tick()]

    assert hinted == [[chat.pk], []]


def test_chat_whose_message_must_wait_is_not_due(chat: Chat):
    row = outbox.send_text(chat, "Hi", key="hi")
    Delivery.objects.filter(pk=row.pk).update(not_before=row.deadline_at)

    assert sweep.list_due_chats(now=row.created_at, limit=10) == []
    assert sweep.list_due_chats(now=row.deadline_at, limit=10) == [chat.pk]


@committed
def test_delivery_is_sent_once_however_many_processes_try(
    chat: Chat, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
):
    ada = telegram.person(telegram_id=chat.telegram_id)
    ada.says("/start")
    monkeypatch.setattr(configured, "BOT_CHAT_MESSAGES_PER_SECOND", 1_000.0)
    for number in range(20):
        outbox.send_text(chat, f"{number}", key=f"m{number}")

    def work() -> None:
        try:
            for _ in range(4):
                tasks.deliver(chat_id=chat.pk)
        finally:
            composition.close_client()
            connection.close()

    hands = [threading.Thread(target=work) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    until(lambda: tasks.deliver(chat_id=chat.pk) or not Delivery.objects.exclude(status="sent").exists())

    assert ada.texts() == [str(number) for number in range(20)]


DELIVERER = """
import sys, django
import orchestrator.celery
django.setup()
from apps.bot import tasks
tasks.deliver(chat_id=int(sys.argv[1]))
"""


def environment(telegram: TelegramServer) -> dict[str, str]:
    """The environment of a process of this system that works on the database of this test."""
    where = connection.settings_dict
    url = f"postgresql://{where['USER']}:{quote(where['PASSWORD'])}@{where['HOST']}:{where['PORT']}/{where['NAME']}"
    bot_settings = {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_BASE_URL": telegram.url,
        "DATABASE_URL": url,
        "NO_PROXY": "127.0.0.1",
    }
    return {**os.environ, **bot_settings}


@contextmanager
def process(*arguments: str, telegram: TelegramServer) -> Iterator["subprocess.Popen[bytes]"]:
    started = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(telegram),
        cwd=Path(configured.BASE_DIR),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@committed
def test_message_of_a_process_that_is_killed_while_it_sends_is_repeated_recognisably(
    chat: Chat, telegram: TelegramServer
):
    ada = telegram.person(telegram_id=chat.telegram_id)
    ada.says("/start")
    telegram.faults.add(Fault("hang_after", seconds=60))
    row = outbox.send_text(chat, "Done", key="done")
    outbox.send_text(chat, "Next", key="next")
    with process("-c", DELIVERER, str(chat.pk), telegram=telegram) as deliverer:
        until(lambda: ada.texts() == ["Done"], 60)
        deliverer.kill()
        deliverer.wait()

    left = row.reload().status
    until(lambda: tasks.deliver(chat_id=chat.pk) or len(ada.texts()) == 3)

    assert left == DeliveryStatus.SENDING
    assert ada.texts() == ["Done", "(again)\nDone", "Next"]


@committed
@pytest.mark.integration
def test_killed_bot_is_succeeded_by_the_next_and_never_do_both_poll(telegram: TelegramServer):
    ada = telegram.person(name="Ada")
    with (
        process("manage.py", "runbot", telegram=telegram) as first,
        process("manage.py", "runbot", telegram=telegram) as second,
    ):
        until(lambda: telegram.bot.polls_at_once, 60)
        ada.says("/start")
        until(lambda: Chat.objects.filter(name="Ada").exists(), 60)
        ended = _end_the_one_that_polls(first, second)
        told = ada.says("hello")
        until(lambda: ProcessedUpdate.objects.filter(pk=told).exists(), 60)
        survivor = second if ended is first else first
        survivor.send_signal(signal.SIGTERM)
        survivor.wait(SECONDS)

    assert telegram.bot.most_polls_at_once == 1
    assert survivor.returncode == 0


def _end_the_one_that_polls(
    first: "subprocess.Popen[bytes]", second: "subprocess.Popen[bytes]"
) -> "subprocess.Popen[bytes]":
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT client_port FROM pg_stat_activity JOIN pg_locks USING (pid)"
            " WHERE application_name = 'runbot' AND locktype = 'advisory' AND granted"
            " AND datname = current_database()"
        )
        port = cursor.fetchone()[0]
    for runbot in (first, second):
        if any(used.laddr.port == port for used in psutil.Process(runbot.pid).net_connections()):
            runbot.kill()
            runbot.wait()
            return runbot
    raise AssertionError("none of them holds the lease")
