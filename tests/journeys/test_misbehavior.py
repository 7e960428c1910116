"""Agents that lie, break things or hang never yield a success; each failure says what it was."""

from contextlib import closing

import pytest

from tests.journeys.world import TURN_TIMEOUT_SECONDS, World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SENTENCE = "an inventory of books with title, author and year"
#: How an agent misbehaves → the code its task must fail with.
MODES = {
    "no-commit": "no_commit",
    "wrong-branch": "wrong_branch",
    "break-tests": "checks_failed",
    "delete-tests": "tests_removed",
    "skip-tests": "tests_skipped",
    "exit-1": "agent_exit",
    "hang": "timeout",
    "garbage": "result_missing",
    "huge-result": "result_too_large",
    "edit-protected": "protected_path_changed",
}


@pytest.fixture(scope="module")
def tasks(world: World) -> dict[str, str]:
    """One task per mode, all started at once: mode → task id."""
    return {mode: world.begin(f"{SENTENCE}\nrehearsal: {mode}")["id"] for mode in MODES}


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "hang"])
def test_misbehaving_agent_fails_with_its_own_reason(world: World, tasks: dict[str, str], mode: str) -> None:
    _fails_with_its_own_reason(world, tasks, mode)


def _fails_with_its_own_reason(world: World, tasks: dict[str, str], mode: str) -> None:
    card = world.wait(tasks[mode], seconds=400 + 3 * TURN_TIMEOUT_SECONDS)

    task = world.api.get(f"/api/tasks/{tasks[mode]}/")
    assert task["status"] == "failed"
    assert task["failure"]["code"] == MODES[mode], task["failure"]
    assert card["failure"]["code"] == MODES[mode]
    code, said = world.command("engineering", "wait", tasks[mode])
    assert (code, said["success"], said["error"]) == (1, False, MODES[mode])
    assert world.merges(task["project_id"]) == []
    assert list(world.api.list("/api/service_deployments/", project_id=task["project_id"])) == []


def test_an_agent_that_repairs_what_it_broke_succeeds_after_rework(world: World) -> None:
    task = world.begin(f"{SENTENCE}\nrehearsal: break-tests-once")

    card = world.wait(task["id"], seconds=240)

    assert card["status"] == "completed", card["failure"]
    assert "rework" in world.kinds(task["id"])
    assert len(world.merges(task["project_id"])) == 1


def test_a_sentence_nobody_can_read_fails_with_a_typed_reason(world: World) -> None:
    task = world.begin("make it nice")

    card = world.wait(task["id"], seconds=120)

    assert card["status"] == "failed"
    assert card["failure"]["code"] == "agent_reported_failure"
    assert card["failure"]["details"]["reason"] == "sentence_not_understood"


def test_a_task_can_be_canceled_while_its_agent_works(world: World) -> None:
    task = world.begin(f"{SENTENCE}\nrehearsal: slow:15")
    assert world.reaches(task["id"], "turn_started", seconds=60)

    world.api.post(f"/api/tasks/{task['id']}/cancel/")
    card = world.wait(task["id"], seconds=60)

    assert card["status"] == "cancelled"
    assert world.merges(task["project_id"]) == []
    assert world.worker_processes(task["id"]) == []


# Here because it takes its attempts' whole time, which the tests before it need anyway.
def test_hanging_agent_fails_with_its_own_reason(world: World, tasks: dict[str, str]) -> None:
    _fails_with_its_own_reason(world, tasks, "hang")


def test_the_admin_shows_each_reason(world: World, tasks: dict[str, str]) -> None:
    for task_id in tasks.values():
        world.wait(task_id, seconds=400)

    with closing(world.admin()) as browser:
        pages = {
            mode: browser.get(f"/admin/projects/task/{task_id}/change/") for mode, task_id in tasks.items()
        }

    assert {mode: page.status_code for mode, page in pages.items()} == dict.fromkeys(MODES, 200)
    assert [mode for mode, page in pages.items() if MODES[mode] not in page.text] == []
