"""The plan's six milestone scenarios (P1.9): the real Claude Code and Droid in real containers."""

import time

import pytest

from tests.milestone.site import CREATE, Site

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def claude(building: Site) -> str:
    """A Claude worker with git."""
    return building.worker(
        "ada", agent_type="claude", capabilities=["git"], instructions="Be kind to whoever asks."
    )


@pytest.fixture(scope="module")
def droid(building: Site) -> str:
    """A Droid worker with curl."""
    return building.worker(
        "dora", agent_type="factory", capabilities=["curl"], instructions="Be brief to whoever asks."
    )


def test_create_claude_worker_with_git_capability(building: Site, claude: str) -> None:
    assert building.shell(claude, "git --version").startswith("git version")
    assert "Be kind to whoever asks." in building.shell(claude, "cat /workspace/CLAUDE.md")
    assert building.exec(claude, "test", "-e", "/workspace/AGENTS.md").exit_code == 1


def test_create_factory_worker_with_curl_capability(building: Site, droid: str) -> None:
    assert building.shell(droid, "curl --version").startswith("curl ")
    assert "Be brief to whoever asks." in building.shell(droid, "cat /workspace/AGENTS.md")
    assert building.exec(droid, "test", "-e", "/workspace/CLAUDE.md").exit_code == 1


def test_different_agent_types_produce_different_images(building: Site, claude: str, droid: str) -> None:
    assert building.image_of(claude) != building.image_of(droid)


def test_worker_executes_task_with_mocked_claude(building: Site, claude: str) -> None:
    turn = building.turn(claude, "Please create the milestone project")

    asked = [
        item for item in building.model.asked if "create the milestone project" in item.conversation.text
    ]
    assert turn["status"] == "succeeded", turn
    assert building.projects_of("ada") == ["milestone"]
    assert turn["result"]["request_id"] == turn["id"]
    assert '"success": true' in asked[-1].conversation.tool_results[-1].replace('":true', '": true')


def test_product_owner_remembers_after_its_container_was_replaced(building: Site) -> None:
    first = building.worker("mary", agent_type="claude")
    said = building.turn(first, "my number is 41")
    building.foreman.cancel_worker(first)
    assert building.wait_for_worker(first) == "canceled"

    second = building.worker("mary", agent_type="claude")
    remembered = building.turn(second, "what did I say")

    assert said["status"] == "succeeded", said
    assert second != first
    assert remembered["status"] == "succeeded", remembered
    assert "my number is 41" in remembered["result"]["text"]


def test_worker_crash_publishes_failure_to_output(building: Site) -> None:
    worker = building.worker("carl", agent_type="claude")
    turn_id = building.foreman.send_turn(worker, "stall for ever")
    until = time.monotonic() + 60
    while not any("stall for ever" in item.conversation.text for item in building.model.asked):
        assert time.monotonic() < until
        time.sleep(0.1)

    building.runtime.connection.client().containers.get(f"worker-{worker}").kill()
    killed_at = time.monotonic()
    turn = building.wait_for_turn(turn_id, seconds=60)

    assert time.monotonic() - killed_at <= 15
    assert turn["status"] == "crashed"
    assert turn["failure"]["kind"] == "platform"
    assert building.wait_for_worker(worker, seconds=60) == "crashed"
    failure = building.row("workers_worker", worker)["failure"]
    assert failure["code"] == turn["failure"]["code"]
    assert "killed" in failure["message"]


def test_permissions_enforced_by_cli(building: Site) -> None:
    worker = building.worker("pia", agent_type="claude", allowed_commands=["project.get"])

    told = building.run_by_agent(worker, f"{CREATE}; echo exit=$?")

    assert "permission" in told.lower()
    assert "exit=3" in told
    assert building.projects_of("pia") == []
