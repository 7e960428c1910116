"""The chat where Telegram calls us, and where bots come from a pool: real processes, a double that pushes.

The double is told where the host of the webhook's address is served, as a proxy that ends TLS would know;
the system itself is set up as for the Internet.
"""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.journeys.test_chat import ANSWER_SECONDS, await_button, let_in
from tests.journeys.test_whole_chain import BUILD_SECONDS, urls
from tests.journeys.world import World, eventually, running
from tests.telegram_server import Bot, Person, TelegramServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOST: Final = "bot.example.org"
PATH: Final = "/webhooks/telegram"
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramServer]:
    """A double of its own: a bot is either called or polls."""
    with TelegramServer() as started:
        yield started


@pytest.fixture(scope="module")
def pooled(telegram: TelegramServer) -> Bot:
    """The one bot of the pool."""
    return telegram.add_bot(username="bot_of_the_pool")


@pytest.fixture(scope="module")
def world(telegram: TelegramServer, pooled: Bot) -> Iterator[World]:
    """A system that Telegram calls, and that has a bot to give away."""
    settings = {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_BASE_URL": telegram.url,
        "TELEGRAM_MODE": "webhook",
        "TELEGRAM_WEBHOOK_URL": f"https://{HOST}",
        "TELEGRAM_BOT_TOKENS_POOL": pooled.token,
        "ALLOWED_HOSTS": f"127.0.0.1,localhost,{HOST}",
    }
    with running(settings=settings) as started:
        telegram.leads(HOST, started.stack.web_url)
        yield started


@pytest.fixture(scope="module")
def ada(world: World, telegram: TelegramServer) -> Person:
    """Somebody who was let in."""
    return let_in(world, telegram.person(name="Ada"))


def test_telegram_is_told_whom_to_call_and_strangers_are_refused(
    world: World, telegram: TelegramServer, ada: Person
) -> None:
    stranger = telegram.person(name="Mallory")

    stranger.says("build me a todo list with title")

    stranger.awaits("I do not know you")
    assert telegram.bot.webhook.url == f"https://{HOST}{PATH}"
    assert telegram.calls("getUpdates") == []
    assert any("Welcome" in text for text in ada.texts())


@pytest.mark.parametrize("secret", [None, "", "wrong", "0" * 64])
def test_who_does_not_know_the_secret_says_nothing(
    world: World, telegram: TelegramServer, ada: Person, secret: str | None
) -> None:
    message = telegram.bot.message_json(ada.chat, ada.sees()[0]) | {"text": "/projects"}
    headers = {"Host": HOST} | ({SECRET_HEADER: secret} if secret is not None else {})

    answer = httpx.post(
        f"{world.stack.web_url}{PATH}", json={"update_id": 1, "message": message}, headers=headers
    )

    assert (answer.status_code, answer.json()["error"]) == (401, "bad_secret")
    assert world.rows("SELECT count(*) FROM bot_processedupdate WHERE update_id = 1") == [(0,)]


def test_updates_that_wait_come_twice_or_turned_round_are_answered_once_each(
    world: World, telegram: TelegramServer, ada: Person
) -> None:
    before, hook = len(ada.texts()), telegram.bot.webhook
    hook.pushes.clear()
    telegram.faults.doubled.clear()
    reversals = telegram.faults.reversals
    telegram.faults.are_updates_doubled = telegram.faults.are_updates_reversed = True

    world.stack.kill("web")
    said = [ada.says(command) for command in ("/help", "/projects", "/status")]

    assert eventually(lambda: len(ada.texts()) >= before + 3 and not telegram.bot.updates, seconds=60)
    telegram.faults.clear()
    owed = "SELECT count(*) FROM bot_delivery WHERE status IN ('pending', 'sending')"
    assert eventually(lambda: world.rows(owed) == [(0,)], seconds=30)
    assert len(ada.texts()) == before + 3, ada.texts()
    (twice,) = telegram.faults.doubled
    assert twice["update_id"] in said
    assert telegram.faults.reversals > reversals
    assert set(hook.pushes) >= set(said)
    assert hook.pushes[-1] < max(said), "the newest did not come last"


def test_described_bot_gets_one_of_the_pool_and_answers_without_a_dialog(
    world: World, telegram: TelegramServer, ada: Person, pooled: Bot
) -> None:
    ada.says("build me a bot that tells jokes")
    ada.awaits("What should it keep", seconds=ANSWER_SECONDS)
    ada.says("text and author")
    ada.awaits("I created the project", seconds=ANSWER_SECONDS)

    assert eventually(lambda: len(urls(ada)) == 1, seconds=BUILD_SECONDS), ada.texts()[-4:]
    answer = httpx.get(f"{urls(ada)[0]}health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert eventually(lambda: pooled.poll_number > 0, seconds=60), "the project's bot asks for its updates"
    assert any("@bot_of_the_pool" in text for text in ada.texts())
    assert not any("Give the value" in shown.button_texts() for shown in ada.sees())
    assert not any(pooled.token.encode() in body for _, body in telegram.received)
    query = "SELECT status, answer, secret_key <> '' FROM graph_question WHERE run_id IS NOT NULL"
    assert [row[0] for row in world.rows(query)] == ["answered"]
    assert pooled.token not in str(world.rows(query))


def test_answer_by_a_tap_that_comes_twice_changes_the_chosen_project_once(
    world: World, telegram: TelegramServer, ada: Person
) -> None:
    _make_second_project(world, ada)
    ada.says("add a rating field")
    ada.awaits("Which project", seconds=ANSWER_SECONDS)
    option = next(text for shown in ada.sees() for text in shown.button_texts() if "okes" in text)
    await_button(ada, option, seconds=30)
    telegram.faults.doubled.clear()
    telegram.faults.are_updates_doubled = True

    tap = ada.taps(option)

    assert eventually(lambda: len(urls(ada)) == 2, seconds=BUILD_SECONDS), ada.texts()[-4:]
    assert [update["callback_query"]["id"] for update in telegram.faults.doubled] == [tap.id]
    assert (tap.answer, tap.is_alert) == (option, False)
    query = "SELECT p.name, t.status FROM projects_task t JOIN projects_project p ON p.id = t.project_id"
    done = world.rows(f"{query} WHERE t.type = 'engineering'")
    assert [status for _, status in done] == ["succeeded", "succeeded"]
    assert len({name for name, _ in done}) == 1
    assert httpx.get(f"{urls(ada)[-1]}health").status_code == 200


def _make_second_project(world: World, person: Person) -> None:
    query = "SELECT username FROM projects_user WHERE telegram_id = %s"
    ((username,),) = world.rows(query, person.id)
    body: dict[str, Any] = {"name": "Music", "modules": ["backend"]}
    world.as_person(username).post("/api/projects/", body, create=True)
