"""`kill -9` of any one process at any stage: the run still ends once, with one merge and one listener.

Whoever asked for it follows in a chat, and is shown one final card and told one last word.

`make test` kills every kind of process once, at a stage drawn by a seed (CHAOS_SEED=N draws others);
`CHAOS=all` (`make chaos`) kills every kind at every stage, prints the matrix and keeps it in
var/chaos/latest.json.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys import chat_judge
from tests.journeys.chat_runs import owed_to
from tests.journeys.victims import KINDS, held, kill
from tests.journeys.world import World, eventually
from tests.telegram_server import Person, TelegramServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SENTENCE = "an inventory of books with title, author and year\nrehearsal: slow:2"
#: Named stages of a run: the event that opens it → the event that closes it.
STAGES = {
    "acknowledged": "scaffolded",
    "scaffolded": "worker_requested",
    "worker_requested": "worker_ready",
    "worker_ready": "turn_started",
    "turn_started": "turn_finished",
    "turn_finished": "checks_started",
    "checks_started": "checks_passed",
    "checks_passed": "merged",
    "merged": "port_allocated",
    "port_allocated": "deployed",
}
#: Measured where nothing else runs; beside other tests only what never ends is a fault.
RECOVERY_SECONDS = 30.0 if os.environ.get("CHAOS") == "all" else 90.0
#: The bot may have been dead, or Telegram's turn to wait.
TOLD_SECONDS = 60.0

SEED = int(os.environ.get("CHAOS_SEED") or 20261122)
_draw = random.Random(SEED)
#: The stages that last milliseconds are hit by chance only; the seeded draw takes the others.
_LONG = ("acknowledged", "worker_requested", "turn_started", "checks_started", "port_allocated")
SEEDED = [(kind, _draw.choice(_LONG if kind != "wrapper" else ("turn_started",))) for kind in KINDS]
ALL = [(kind, stage) for kind in KINDS for stage in STAGES]
#: A wrapper lives from its start until its turn was reported.
IMPOSSIBLE = {
    ("wrapper", stage)
    for stage in STAGES
    if stage not in {"worker_requested", "worker_ready", "turn_started"}
}
#: Some stages last milliseconds: a kill that came too late is tried again with another run.
_TRIES = 6
MATRIX: list[dict[str, Any]] = []
PAIRS = ALL if os.environ.get("CHAOS") == "all" else SEEDED


@pytest.mark.parametrize(("kind", "stage"), PAIRS, ids=lambda value: str(value))
def test_run_ends_once_after_kill(world: World, onlooker: Person, kind: str, stage: str) -> None:
    if (kind, stage) in IMPOSSIBLE:
        pytest.skip(f"no {kind} lives in stage {stage}")

    for _ in range(_TRIES):
        if _kill_and_recover(world, onlooker, kind, stage):
            return

    pytest.fail(f"in {_TRIES} runs no kill of {kind} landed in stage {stage}; each run survived all the same")


@pytest.fixture(scope="module")
def onlooker(world: World, telegram: TelegramServer) -> Iterator[Person]:
    """The chat of the person in whose name the journeys act, while this one does."""
    person = telegram.person(name="Onlooker")
    query = "UPDATE projects_user SET telegram_id = %s WHERE username = 'journey' RETURNING id"
    assert len(world.rows(query, person.id)) == 1
    person.says("/start")
    person.awaits("Welcome", seconds=30)
    yield person
    person.blocks()


def _kill_and_recover(world: World, onlooker: Person, kind: str, stage: str) -> bool:
    """Do one run with one kill in it; tells whether the kill landed in its stage."""
    with held(world, kind, stage):
        task = world.begin(SENTENCE)
        assert world.reaches(task["id"], stage, seconds=90, poll_seconds=0.005)
        killed = kill(world, kind, task["id"])
        landed = killed and STAGES[stage] not in world.kinds(task["id"])
    world.stack.wait_ready(60)
    back = time.monotonic()
    card = world.wait(task["id"], seconds=120)
    seconds = time.monotonic() - back

    _record(kind, stage, landed=landed, seconds=round(seconds, 1), status=card["status"])
    assert card["status"] == "completed", card["failure"]
    assert seconds <= RECOVERY_SECONDS
    _assert_once(world, task, card)
    assert eventually(lambda: not _untold(world, onlooker, task), seconds=TOLD_SECONDS), (
        _untold(world, onlooker, task),
        world.logs(),
    )
    return landed


def _untold(world: World, onlooker: Person, task: dict[str, Any]) -> list[str]:
    """Say what is wrong with how the end is told in the chat."""
    owed = owed_to(world, onlooker.id)
    return chat_judge.problems_of_end(task["id"], "succeeded", owed, onlooker.chat.messages)


def _assert_once(world: World, task: dict[str, Any], card: dict[str, Any]) -> None:
    ended = [
        kind for kind in world.kinds(task["id"]) if kind in {"succeeded", "failed", "crashed", "canceled"}
    ]
    assert ended == ["succeeded", "succeeded"]  # the change, and the deployment that follows it
    assert len(world.merges(task["project_id"])) == 1
    ports = (httpx.URL(card["url"]).port or 0, world.service_port(card["url"]))
    # The project's own and that of its one release.
    assert eventually(lambda: [len(world.listeners(port)) for port in ports] == [1, 1], seconds=10)
    releases = world.rows(
        "SELECT status FROM infra_servicedeployment WHERE project_id = %s", task["project_id"]
    )
    assert releases == [("live",)]
    assert httpx.get(f"{card['url']}books").json() == []


def _record(kind: str, stage: str, **found: Any) -> None:
    """Add one kill to this session's matrix, which `make chaos` prints."""
    MATRIX.append({"kind": kind, "stage": stage, "seed": SEED, **found})


@pytest.fixture(scope="module", autouse=True)
def matrix() -> Iterator[None]:
    """Write the matrix of this session; an earlier one is replaced, never mixed in."""
    MATRIX.clear()
    yield
    path = Path(os.environ.get("CHAOS_FILE") or Path(os.environ["VAR_DIR"]) / "chaos" / "latest.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(MATRIX, indent=1))
