"""The main job with the real Claude Code: only the model behind it is scripted, at HTTP level.

A key and an installed program are all it takes: nothing in the flow knows which agent works.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests import real_clis
from tests.journeys.greetings import GREETINGS
from tests.journeys.world import World, running
from tests.model_server import KEY, ModelServer, Refuse, Scenario, model_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OVERLOADED = Scenario("a quiet service", (Refuse(529),))


@dataclass(frozen=True)
class Real:
    """A running system whose agents are real, and the model behind them."""

    world: World
    model: ModelServer


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    programs = real_clis.require()
    with model_server(GREETINGS, OVERLOADED) as model:
        settings = {
            "WORKERS_RUNTIME": "process",
            "WORKERS_DEFAULT_AGENT": "auto",
            "WORKERS_TOOLS_DIRS": str(programs),
            "WORKERS_TURN_TIMEOUT_SECONDS": "240",
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": model.url,
        }
        with running(settings=settings) as world:
            yield Real(world, model)


@pytest.fixture(scope="module")
def greetings(real: Real) -> dict[str, Any]:
    task = real.world.begin("greet every guest by name", name="Greetings of the journey")
    return {"task": task, "card": real.world.wait(task["id"], seconds=300)}


def test_the_real_agent_edits_commits_and_its_work_is_deployed(real: Real, greetings: dict[str, Any]) -> None:
    card = greetings["card"]

    answer = httpx.get(f"{card['url']}greetings/Ada")

    assert card["status"] == "completed", card["failure"]
    assert answer.json() == {"greeting": "Hello, Ada!"}
    assert len(real.world.merges(greetings["task"]["project_id"])) == 1


def test_the_card_names_the_agent_that_worked(greetings: dict[str, Any]) -> None:
    assert "claude" in greetings["card"]["agent"].lower()
    assert "rehearsal" not in greetings["card"]["agent"].lower()


def test_what_the_agent_does_is_told_while_it_works(real: Real, greetings: dict[str, Any]) -> None:
    events = real.world.api.list(f"/api/tasks/{greetings['task']['id']}/events/")

    told = [event["data"].get("message", "") for event in events if event["kind"] == "agent_progress"]

    assert any("make check" in words for words in told), told


def test_what_the_turn_cost_is_known(real: Real, greetings: dict[str, Any]) -> None:
    query = """
        SELECT t.usage FROM workers_turn t JOIN workers_worker w ON w.id = t.worker_id
        WHERE w.task_id = %s"""

    ((usage,),) = real.world.rows(query, greetings["task"]["id"])

    assert (usage["input_tokens"], usage["output_tokens"]) == (400, 200)
    assert usage["cost_usd"] > 0


def test_only_the_model_was_asked_and_the_task_was_in_its_prompt(
    real: Real, greetings: dict[str, Any]
) -> None:
    asked = [item for item in real.model.asked if "greet every guest" in item.conversation.text]

    assert [item.conversation.answers for item in asked] == [0, 1, 2, 3]
    assert all("<task>" in item.conversation.text for item in asked)
    assert {"Bash", "Read", "Edit"} <= set(asked[0].conversation.tools)


def test_an_overloaded_provider_is_the_providers_failure(real: Real) -> None:
    task = real.world.begin("a quiet service", deploy=False)

    card = real.world.wait(task["id"], seconds=300)

    assert card["status"] == "failed"
    assert (card["failure"]["code"], card["failure"]["kind"]) == ("provider_unavailable", "provider")
