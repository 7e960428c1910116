"""The main job with the real Claude Code in a real container: clone, edit, check, commit, merge, deploy."""

from typing import Any

import httpx
import pytest

from tests.milestone.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def greetings(building: Site) -> dict[str, Any]:
    task = building.world.begin("greet every guest by name", name="Greetings of a container")
    return {"task": task, "card": building.world.wait(task["id"], seconds=400)}


def test_work_of_the_real_agent_in_a_container_is_merged_and_deployed(
    building: Site, greetings: dict[str, Any]
) -> None:
    card = greetings["card"]
    assert card["status"] == "completed", card["failure"]

    answer = httpx.get(f"{card['url']}greetings/Ada")

    assert answer.json() == {"greeting": "Hello, Ada!"}
    assert "claude" in card["agent"].lower()
    assert len(building.world.merges(greetings["task"]["project_id"])) == 1


def test_its_shell_found_the_package_registries_and_the_checks_passed_there(
    building: Site, greetings: dict[str, Any]
) -> None:
    asked = [
        item.conversation for item in building.model.asked if "greet every guest" in item.conversation.text
    ]

    last = asked[-1].tool_results[-1]

    assert "passed" in last
    assert "Greet guests" in last
