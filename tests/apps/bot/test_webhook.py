"""Telegram's updates by webhook: from Telegram alone, each taken once."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from apps.bot import composition, webhook
from apps.bot.models import Chat, ProcessedUpdate
from tests.telegram_server import TelegramServer

pytestmark = [pytest.mark.service, pytest.mark.django_db]

URL, HOST = "/webhooks/telegram", "bot.example.org"


@pytest.fixture(autouse=True)
def telegram(settings: Any) -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        settings.TELEGRAM_BOT_TOKEN = server.token
        settings.TELEGRAM_API_BASE_URL = server.url
        settings.TELEGRAM_MODE = "webhook"
        yield server


def post(client: Client, body: Any, secret: str | None = None) -> Any:
    headers = {webhook.SECRET_HEADER: composition.webhook_secret() if secret is None else secret}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(URL, content, content_type="application/json", headers=headers)


def update_of(telegram: TelegramServer) -> dict[str, Any]:
    telegram.person(name="Ada").says("/start")
    return telegram.bot.updates[-1]


def test_update_is_taken_once(client: Client, telegram: TelegramServer):
    update = update_of(telegram)

    answers = [post(client, update).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert Chat.objects.get().name == "Ada"
    assert ProcessedUpdate.objects.count() == 1


@pytest.mark.parametrize("secret", ["", "wrong", "ключ"])
def test_stranger_without_the_secret_is_refused(client: Client, telegram: TelegramServer, secret: str):
    answer = post(client, update_of(telegram), secret=secret.encode().decode("latin-1"))

    assert answer.status_code == 401
    assert not Chat.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"update_id": "x"}', b"[" * 50_000])
def test_what_is_no_update_is_refused(client: Client, body: bytes):
    assert post(client, body).status_code == 400


def test_body_that_is_too_large_is_refused(client: Client):
    assert post(client, b"x" * (webhook.MAX_BODY_BYTES + 1)).status_code == 413


def test_there_is_no_webhook_where_updates_are_polled_for(
    client: Client, telegram: TelegramServer, settings: Any
):
    settings.TELEGRAM_MODE = "polling"

    assert post(client, update_of(telegram)).status_code == 404


def test_update_that_the_database_does_not_take_is_wanted_again(client: Client, telegram: TelegramServer):
    def fail(*_: Any) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(fail):
        answer = post(client, update_of(telegram))

    assert answer.status_code == 503


def test_secret_belongs_to_the_bot_and_is_what_telegram_allows(settings: Any):
    first = composition.webhook_secret()
    settings.TELEGRAM_BOT_TOKEN = "12345678:another"

    second = composition.webhook_secret()

    assert first != second
    assert len(first) == 64
    assert first.isalnum()


@pytest.mark.django_db(transaction=True)
def test_telegram_itself_brings_updates_until_they_are_taken(
    live_server: Any, telegram: TelegramServer, settings: Any
):
    url = f"https://{HOST}{URL}"
    telegram.leads(HOST, live_server.url.replace("localhost", "127.0.0.1"))
    settings.ALLOWED_HOSTS = [HOST]
    ada = telegram.person(name="Ada")
    with composition.new_client() as client:
        client.set_webhook(url, secret="wrong")
        ada.says("/start")
        _until(lambda: "401" in client.webhook()[1])
        refused = Chat.objects.count()

        client.set_webhook(url, secret=composition.webhook_secret())
        _until(lambda: not telegram.bot.updates)
        client.delete_webhook()

    assert refused == 0
    assert Chat.objects.get().name == "Ada"


def _until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
