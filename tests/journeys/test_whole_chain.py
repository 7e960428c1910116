"""From a person's words to an address that answers, a change, and the address again: the whole chain.

`make journey` shows it as it happens, on a stack of its own whose workers are
containers where a Docker daemon answers.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.journeys.narration import Narration
from tests.journeys.test_chat import ANSWER_SECONDS, await_button, let_in, product_owner
from tests.journeys.world import World, eventually, running
from tests.telegram_server import Bot, Person, TelegramServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_500)]

#: The first worker may have to wait for its image.
BUILD_SECONDS = 480.0


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, telegram: TelegramServer) -> Iterator[World]:
    """The shared system, or, for somebody who watches, one of its own that chooses where workers run."""
    if not os.environ.get("JOURNEY_WATCHED"):
        yield request.getfixturevalue("world")
        return
    settings = {
        "TELEGRAM_BOT_TOKEN": telegram.token,
        "TELEGRAM_API_BASE_URL": telegram.url,
        "WORKERS_RUNTIME": "auto",
        "WORKERS_TURN_TIMEOUT_SECONDS": "300",
    }
    with running(settings=settings) as world:
        yield world


def test_words_become_a_service_and_its_change(stage: World, telegram: TelegramServer) -> None:
    jokes = telegram.add_bot(username="jokes_of_lovelace_bot")
    lovelace = telegram.person(name="Lovelace")
    with Narration(lovelace, secret=jokes.token) as told:
        told.note(stage.stack.runtime.notice if stage.stack.runtime else "No word about the runtime")
        let_in(stage, lovelace)
        told.note("A stranger was let in by an invitation")
        project = _ask_for_a_bot(stage, lovelace, told)
        url = _give_the_token(stage, lovelace, jokes, told)
        _check_release(stage, project, url, told, merges=1)
        httpx.post(f"{url}jokes", json={"text": "a joke", "author": "me"}).raise_for_status()
        changed = _ask_for_a_change(stage, lovelace, project, told)
        assert changed == url
        told.note("Its address is the one from before the change")
        _check_release(stage, project, changed, told, merges=2)
        (stored,) = httpx.get(f"{changed}jokes").json()
        assert (stored["text"], "rating" in stored) == ("a joke", True)
        told.note("What was stored before the change is still there, with the new field")
        _check_doubles(stage, telegram, lovelace, jokes, told)


def _ask_for_a_bot(stage: World, lovelace: Person, told: Narration) -> dict[str, Any]:
    """Say what is wanted; the Product Owner asks back, and makes the project."""
    lovelace.says("build me a bot that tells jokes")
    lovelace.awaits("What should it keep", seconds=BUILD_SECONDS)
    told.note("The Product Owner asked what was missing")
    lovelace.says("text and author")
    begun = lovelace.awaits("I created the project", seconds=ANSWER_SECONDS)
    assert "no model" in begun.text
    worker = product_owner(stage, lovelace)
    asked = "SELECT to_jsonb(p) FROM projects_project p JOIN projects_user u ON u.id = p.owner_id"
    ((project,),) = stage.rows(f"{asked} WHERE u.telegram_id = %s", lovelace.id)
    told.note(f"Its worker {worker['id'][:8]} made the project {project['slug']}")
    return dict(project)


def _give_the_token(stage: World, lovelace: Person, jokes: Bot, told: Narration) -> str:
    """Give the project's bot its token by the button of the question; return the address."""
    await_button(lovelace, "Give the value", seconds=BUILD_SECONDS)
    lovelace.taps("Give the value")
    lovelace.awaits("Send me the value", seconds=30)
    lovelace.says(jokes.token)
    lovelace.awaits("is stored", seconds=30)
    told.note("The token was taken by the bot, and its message deleted")
    assert eventually(lambda: len(urls(lovelace)) == 1, seconds=BUILD_SECONDS), lovelace.texts()[-4:]
    return urls(lovelace)[-1]


def _ask_for_a_change(stage: World, lovelace: Person, project: dict[str, Any], told: Narration) -> str:
    """Ask for a change in words, beside another project; return the address that is told then."""
    ((username,),) = stage.rows("SELECT username FROM projects_user WHERE telegram_id = %s", lovelace.id)
    body = {"name": "Nothing of the kind", "modules": ["backend"]}
    stage.as_person(username).post("/api/projects/", body, create=True)
    lovelace.says("add a rating field to the jokes bot")
    lovelace.awaits("I began to change", seconds=ANSWER_SECONDS)
    asked = "SELECT count(*) FROM projects_task WHERE project_id = %s AND type = 'engineering'"
    assert stage.rows(asked, project["id"]) == [(2,)]
    told.note("Of two projects the right one is being changed")
    assert eventually(lambda: len(urls(lovelace)) == 2, seconds=BUILD_SECONDS), lovelace.texts()[-4:]
    return urls(lovelace)[-1]


def urls(person: Person) -> list[str]:
    """Return the addresses in the messages of success, in their order."""
    done = [text for text in person.texts() if "✅ Done: " in text]
    return [found[0] for text in done if (found := re.search(r"http://127\.0\.0\.1:\d+/", text))]


def _check_release(stage: World, project: dict[str, Any], url: str, told: Narration, *, merges: int) -> None:
    """Look at the repository, the evidence, the release and the address, not at what was said of them."""
    assert len(stage.merges(project["id"])) == merges
    told.note(f"The repository has {merges} merge{'s' if merges > 1 else ''}")
    asked = "SELECT status, (evidence->>'passed')::int FROM workers_verification WHERE task_id IN"
    found = stage.rows(
        f"{asked} (SELECT id FROM projects_task WHERE project_id = %s) ORDER BY created_at", project["id"]
    )
    assert [status for status, _ in found] == ["succeeded"] * merges
    told.note(f"The checks passed in a fresh place: {found[-1][1]} tests")
    live = "SELECT service_name FROM infra_servicedeployment WHERE project_id = %s AND status = 'live'"
    assert sorted(name for (name,) in stage.rows(live, project["id"])) == ["backend", "telegram"]
    answer = httpx.get(f"{url}health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    told.note(f"{url}health answers {answer.status_code} {answer.text}")


def _check_doubles(
    stage: World, telegram: TelegramServer, lovelace: Person, jokes: Bot, told: Narration
) -> None:
    """Look at what Telegram was told: the project's own bot polls, and nobody saw its token."""
    assert eventually(lambda: jokes.poll_number > 0, seconds=60)
    told.note(f"The project's own bot asks Telegram for its updates as @{jokes.username}")
    assert not any(jokes.token in shown.text for shown in lovelace.sees())
    assert not any(jokes.token.encode() in body for _, body in telegram.received)
    told.note("The token stands in no message")
    texts = [text for text in lovelace.texts() if "✅ Done: " in text]
    # Word for word the same: the same project, at the same address.
    assert len(texts) == 2
    cards = "SELECT count(*) FROM bot_livecard c JOIN bot_chat h ON h.id = c.chat_id WHERE h.telegram_id = %s"
    ((count,),) = stage.rows(cards, lovelace.id)
    assert count >= 2
    told.note("One live card per task, one last word for each")
