"""How soon a person and a program hear that they were heard, while 20 tasks run (the bar: 0.3 s, p95).

A message is acknowledged by the first call about its chat that reaches Telegram's double after it was offered
there: the answer to a command, "typing" after free text. A POST is by the end of its answer.
"""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import cycle, islice
from typing import Final

import httpx

from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests.journeys.world import World, eventually, running
from tests.telegram_server import Person, TelegramServer

TASKS: Final = 20
MESSAGES: Final = 100
POSTS: Final = 100
_BAR_SECONDS: Final = 0.3
_PEOPLE: Final = 20
#: Of the people, those who also talk to their Product Owner.
_TALKERS: Final = 2
_COMMANDS: Final = ("/help", "/projects", "/tasks", "/status")
_HELD: Final = "an inventory of books with title\nrehearsal: slow:1800"
_LONGEST_SECONDS: Final = 30.0


def measure() -> dict[str, dict[str, object]]:
    """Start a stack of its own, hold 20 tasks open in it, and talk to it."""
    with TelegramServer() as telegram:
        settings = {
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_API_BASE_URL": telegram.url,
            "WORKERS_MAX_CONCURRENT": str(TASKS + _TALKERS),
            "WORKERS_TURN_TIMEOUT_SECONDS": "1800",
        }
        with running(settings=settings) as world:
            people = _let_in(world, telegram)
            _hold_tasks(world)
            talk = [
                _hears(telegram, one, "sendChatAction", "status") for one in _turns(people[:_TALKERS], 20)
            ]
            asked = zip(_turns(people[_TALKERS:], MESSAGES - len(talk)), cycle(_COMMANDS), strict=False)
            commands = [_hears(telegram, one, "sendMessage", command) for one, command in asked]
            posts = _post(world)
            assert _at_work(world) == TASKS, "tasks ended while they were needed"
    return {
        **_figures("acknowledgement of a command", commands),
        **_figures("acknowledgement of free text", talk),
        **_figures("acknowledgement of a message, all", [*commands, *talk]),
        **_figures("acknowledgement of a POST", posts),
    }


def _let_in(world: World, telegram: TelegramServer) -> list[Person]:
    script = f"""
from datetime import timedelta
from apps.projects import services
for _ in range({_PEOPLE}):
    print(services.invite(created_by_id=None, role="member", ttl=timedelta(hours=1))[1])"""
    env = world.stack.child_env()
    codes = run_module("manage", "shell", "--no-imports", "--command", script, env=env, root=ROOT).split()
    people = [telegram.person(name=f"Person {number}") for number in range(_PEOPLE)]
    for person, code in zip(people, codes, strict=True):
        person.says(f"/start {code}")
    for person in people:
        person.awaits("Welcome", seconds=60)
    return people


def _hold_tasks(world: World) -> None:
    for _ in range(TASKS):
        world.begin(_HELD, deploy=False)
    assert eventually(lambda: _at_work(world) == TASKS, seconds=600), world.logs()


def _at_work(world: World) -> int:
    """Return how many agents have said that they think, and have not ended."""
    query = """
        SELECT count(DISTINCT w.id) FROM workers_worker w JOIN workers_workerevent e ON e.worker_id = w.id
        WHERE w.worker_type = 'developer' AND w.finished_at IS NULL AND e.body::text LIKE '%%Thinking%%'"""
    ((count,),) = world.rows(query)
    return int(count)


def _turns(people: Sequence[Person], count: int) -> list[Person]:
    return list(islice(cycle(people), count))


def _hears(telegram: TelegramServer, person: Person, method: str, words: str) -> float:
    """Say something, and return the seconds until Telegram is told of an answer to it."""
    before = len(telegram.calls(method, chat_id=person.id))
    began = time.monotonic()
    person.says(words)
    while time.monotonic() - began < _LONGEST_SECONDS:
        calls = telegram.calls(method, chat_id=person.id)
        if len(calls) > before:
            return calls[before].at - began
        time.sleep(0.005)
    raise RuntimeError(f"{words!r} was not acknowledged by {method} within {_LONGEST_SECONDS:g} s")


def _post(world: World) -> list[float]:
    """Make projects and tasks, as programs do; return how many seconds each answer took."""
    found = []
    headers = {"Authorization": f"Token {world.api.credentials.token}"}
    with closing(httpx.Client(base_url=world.stack.web_url, headers=headers, timeout=60)) as client:
        project_id = ""
        for number in range(POSTS):
            body = {"name": f"Bench {number}", "modules": ["backend"]}
            if number % 2:
                body = {"project_id": project_id, "type": "engineering", "spec": "books with title"}
            began = time.monotonic()
            answer = client.post("/api/tasks/" if number % 2 else "/api/projects/", json=body)
            found.append(time.monotonic() - began)
            answer.raise_for_status()
            project_id = project_id if number % 2 else answer.json()["id"]
    return found


def _figures(name: str, seconds: Sequence[float]) -> dict[str, dict[str, object]]:
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {
        f"{name}, {part} of {len(ordered)}": {
            "value": ordered[max(0, math.ceil(share * len(ordered)) - 1)],
            "unit": "s",
            "at_most": _BAR_SECONDS if part == "p95" else None,
        }
        for part, share in places.items()
    }
