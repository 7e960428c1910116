"""Runs through the chat while Telegram misbehaves and the bot's processes die: nothing lost, nothing twice.

`make test` does ten runs, `make chaos` 200 (CHAOS_RUNS=N does N); CHAOS_SEED=N draws other faults.
"""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from tests.journeys import chat_judge as judge
from tests.journeys.chat_runs import Chatter, kinds_of, owed_to
from tests.journeys.chat_weather import DEATHS, Weather, plan
from tests.journeys.test_chat import let_in
from tests.journeys.world import World, eventually
from tests.telegram_server import TelegramServer

RUNS: Final = int(os.environ.get("CHAOS_RUNS") or (200 if os.environ.get("CHAOS") == "all" else 10))
PEOPLE: Final = min(5, max(2, RUNS // 10))
SEED: Final = int(os.environ.get("CHAOS_SEED") or 20261123)
#: For what is still owed when the last run has ended.
_REST_SECONDS: Final = 180.0
_WORDS_SECONDS: Final = 10.0
#: From so many runs on, every kind of fault must have hit something.
_ALL_FAULTS_RUNS: Final = 50
#: Counts every use of a button where it happens.
_WITNESS: Final = """
CREATE TABLE chaos_taps (button uuid, is_reusable boolean, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION chaos_taps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.used_at IS DISTINCT FROM OLD.used_at THEN
        INSERT INTO chaos_taps (button, is_reusable) VALUES (NEW.id, NEW.is_reusable);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER chaos_taps AFTER UPDATE ON bot_callback FOR EACH ROW EXECUTE FUNCTION chaos_taps()"""
_NO_WITNESS: Final = (
    "DROP TRIGGER chaos_taps ON bot_callback; DROP FUNCTION chaos_taps; DROP TABLE chaos_taps"
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600 + 30 * RUNS)]


def test_every_run_of_a_chat_ends_once_whatever_fails_meanwhile(
    world: World, telegram: TelegramServer, capsys: pytest.CaptureFixture[str]
) -> None:
    chatters = _chatters(world, telegram)
    people = [chatter.person for chatter in chatters]
    draw = random.Random(SEED)

    def begun() -> float:
        return sum(len(chatter.runs) for chatter in chatters) / RUNS

    weather = Weather(world, telegram, people, draw, plan(RUNS, draw), begun)
    with _witness(world):
        began = time.monotonic()
        _let_go(chatters, weather, lambda words: _say(capsys, words))
        weather.stop()
        is_quiet = eventually(lambda: not _unsettled(world, people), seconds=_REST_SECONDS)
        found = _look(world, chatters, weather)
    found |= {"seconds": round(time.monotonic() - began, 1), "seed": SEED, "planned": RUNS}
    _keep(found)

    errors = [repr(chatter.error) for chatter in chatters if chatter.error is not None]
    assert errors == [], world.logs()
    assert is_quiet, _unsettled(world, people)
    assert found["problems"] == []
    assert len(found["runs"]) == RUNS
    ends = {run["status"] for run in found["runs"]}
    assert {"succeeded", "canceled"} <= ends, ends
    # The plan has every kind of fault, but in few runs one may find nothing to hit.
    owed = set(DEATHS) if RUNS < _ALL_FAULTS_RUNS else {fault["kind"] for fault in found["faults"]}
    assert owed <= {fault["kind"] for fault in found["faults"] if fault["happened"]}, found["faults"]


def _chatters(world: World, telegram: TelegramServer) -> list[Chatter]:
    thief = let_in(world, telegram.person(name="Thief"))
    people = [let_in(world, telegram.person(name=f"Runner {number}")) for number in range(PEOPLE)]
    return [
        Chatter(world, person, thief=thief, draw=random.Random(SEED + number))
        for number, person in enumerate(people)
    ]


def _let_go(chatters: list[Chatter], weather: Weather, say: Any) -> None:
    numbers = count(1)
    threads = [
        threading.Thread(target=chatter.go, args=(kinds, lambda: next(numbers)), daemon=True)
        for chatter, kinds in zip(chatters, kinds_of(RUNS, PEOPLE), strict=True)
    ]
    for thread in threads:
        thread.start()
    weather.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_WORDS_SECONDS)
            ended = [run.status for chatter in chatters for run in chatter.runs if run.status]
            say(f"  {len(ended)} of {RUNS} runs ended, {len(weather.to_come)} faults to come")
    for chatter in chatters:
        chatter.settle()


def _look(world: World, chatters: list[Chatter], weather: Weather) -> dict[str, Any]:
    """Judge every chat, and count."""
    problems: list[str] = []
    counts = {"messages": 0, "repeated": 0, "orphans": 0, "late": 0}
    for chatter in chatters:
        person = chatter.person
        owed = owed_to(world, person.id)
        with person.bot.lock:
            seen = dict(person.chat.messages)
        found = judge.problems_of_chat(owed, seen)
        for run in chatter.runs:
            if run.status:
                found += judge.problems_of_end(run.task, run.status, owed, seen)
                found += _repeated_actions(world, run.task)
        taps = [tap for run in chatter.runs for tap in run.taps]
        found += judge.problems_of_taps({}, taps)
        problems += [f"{person.id}: {one}" for one in found]
        counts["messages"] += sum(shown.is_from_bot for shown in seen.values())
        counts["repeated"] += sum(shown.text.startswith(judge.AGAIN) for shown in seen.values())
        counts["orphans"] += len(judge.orphans(owed, seen))
        counts["late"] += sum(one.status == "dropped" for one in owed)
    uses = dict(world.rows("SELECT button::text, count(*) FROM chaos_taps WHERE NOT is_reusable GROUP BY 1"))
    problems += judge.problems_of_taps(uses, [])
    runs = [run.as_json() for chatter in chatters for run in chatter.runs]
    faults = [
        {"kind": name, "planned": planned, "happened": weather.happened[name]}
        for name, planned in sorted(weather.planned.items())
    ]
    return {"runs": runs, "faults": faults, "problems": problems, "buttons": len(uses), **counts}


def _repeated_actions(world: World, task: str) -> list[str]:
    """Say what was begun twice: a task per wish, a retry per button."""
    query = """
        SELECT t.spec, count(*) FROM projects_task t
        WHERE t.retry_of_id IS NOT DISTINCT FROM (SELECT retry_of_id FROM projects_task WHERE id = %s)
          AND t.type = 'engineering' AND t.spec = (SELECT spec FROM projects_task WHERE id = %s)
        GROUP BY t.spec HAVING count(*) <> 1"""
    return [f"{number} tasks were begun for {spec!r}" for spec, number in world.rows(query, task, task)]


def _unsettled(world: World, people: list[Any]) -> list[tuple[Any, ...]]:
    query = """
        SELECT d.idempotency_key, d.status, d.attempts FROM bot_delivery d JOIN bot_chat c ON c.id = d.chat_id
        WHERE c.telegram_id = ANY(%s) AND d.status IN ('pending', 'sending')"""
    return world.rows(query, [person.id for person in people])


@contextmanager
def _witness(world: World) -> Iterator[None]:
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        connection.execute(_WITNESS)
    try:
        yield
    finally:
        with psycopg.connect(world.database_url, autocommit=True) as connection:
            connection.execute(_NO_WITNESS)


def _say(capsys: pytest.CaptureFixture[str], words: str) -> None:
    if "CHAOS_CHATS_FILE" in os.environ:
        with capsys.disabled():
            print(words, flush=True)


def _keep(found: dict[str, Any]) -> None:
    path = Path(os.environ.get("CHAOS_CHATS_FILE") or Path(os.environ["VAR_DIR"]) / "chaos" / "chats.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))
