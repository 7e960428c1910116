"""A person in a chat: let in, heard, asked, served; and nobody in silence, whatever dies meanwhile."""

import os
import signal
import time
from typing import Any

import psutil
import pytest

from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests.journeys.world import TURN_TIMEOUT_SECONDS, World, eventually
from tests.telegram_server import Person, TelegramServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: A turn of the Product Owner takes two to five seconds on an idle machine.
ANSWER_SECONDS = 90.0


def invite(world: World, role: str) -> str:
    """Return a new invitation's code."""
    env = world.stack.child_env()
    return run_module("manage", "invite", "--role", role, env=env, root=ROOT).strip().rpartition("=")[2]


def let_in(world: World, person: Person, role: str = "member") -> Person:
    """Bring somebody in by an invitation."""
    person.says(f"/start {invite(world, role)}")
    person.awaits("Welcome", seconds=30)
    return person


@pytest.fixture(scope="module")
def boss(world: World, telegram: TelegramServer) -> Person:
    """Somebody who decides about people."""
    return let_in(world, telegram.person(name="Grace"), "owner")


@pytest.fixture(scope="module", autouse=True)
def stalled(world: World, telegram: TelegramServer) -> Person:
    """Somebody whose Product Owner hangs while the others' tests go on."""
    person = let_in(world, telegram.person(name="Ida"))
    person.says("status\nrehearsal: hang")
    return person


def product_owner(world: World, person: Person) -> dict[str, Any]:
    """Return the newest Product Owner of somebody."""
    query = """
        SELECT to_jsonb(w) FROM workers_worker w JOIN projects_user u ON u.id = w.owner_id
        WHERE w.worker_type = 'po' AND u.telegram_id = %s ORDER BY w.created_at DESC LIMIT 1"""
    rows = world.rows(query, person.id)
    return dict(rows[0][0]) if rows else {}


def wrappers(worker_id: str) -> list[int]:
    """Return the pids of a worker's wrapper."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "cwd"])
        if any("worker_wrapper" in word for word in process.info["cmdline"] or [])
        and worker_id in (process.info["cwd"] or "")
    ]


def await_button(person: Person, text: str, *, seconds: float) -> None:
    """Wait until somebody can tap a button."""
    is_there = eventually(
        lambda: any(text in shown.button_texts() for shown in person.sees()), seconds=seconds
    )
    assert is_there, (text, person.texts())


def is_thinking(world: World, person: Person) -> bool:
    """Tell whether the person's Product Owner has said that it thinks, as it was told to."""
    query = "SELECT 1 FROM workers_workerevent WHERE worker_id = %s AND body::text LIKE '%%Thinking%%'"
    worker = product_owner(world, person)
    return bool(worker) and bool(world.rows(query, worker["id"]))


def test_stranger_is_refused_and_an_invitation_is_good_once(world: World, telegram: TelegramServer) -> None:
    stranger, second = telegram.person(name="Mallory"), telegram.person(name="Trent")
    stranger.says("build me a todo list with title")
    stranger.awaits("I do not know you")
    code = invite(world, "member")

    stranger.says(f"/start {code}")
    stranger.awaits("Welcome")
    second.says(f"/start {code}")

    assert eventually(lambda: bool(second.texts()), seconds=30)
    assert not any("Welcome" in text for text in second.texts())
    assert product_owner(world, stranger) == {}


def test_killed_product_owner_is_told_and_the_next_goes_on(world: World, telegram: TelegramServer) -> None:
    bob = let_in(world, telegram.person(name="Bob"))
    bob.says("build me a bot")
    bob.awaits("What should it keep", seconds=ANSWER_SECONDS)
    bob.says("status\nrehearsal: slow:60")
    assert eventually(lambda: is_thinking(world, bob), seconds=ANSWER_SECONDS)
    first = product_owner(world, bob)

    for pid in wrappers(first["id"]):
        os.kill(pid, signal.SIGKILL)

    bob.awaits("broke off", seconds=ANSWER_SECONDS)
    bob.says("notes with title and text")
    bob.awaits("I created the project", seconds=ANSWER_SECONDS)
    second = product_owner(world, bob)
    assert first["id"] != second["id"]
    assert first["session_id"] == second["session_id"]


def test_killed_bot_hears_everything_once(world: World, telegram: TelegramServer) -> None:
    eve = let_in(world, telegram.person(name="Eve"))
    before = len(eve.texts())

    for number in range(4):
        eve.says("/help")
        if number == 1:
            world.stack.kill("runbot")

    assert eventually(lambda: len(eve.texts()) == before + 4, seconds=90)
    time.sleep(1.0)
    assert len(eve.texts()) == before + 4, "nothing comes twice"


def test_tap_acts_once_and_for_its_person_only(world: World, telegram: TelegramServer, boss: Person) -> None:
    newcomer = telegram.person(name="Newcomer")
    newcomer.says("/start")
    await_button(newcomer, "Ask for access", seconds=30)
    newcomer.taps("Ask for access")
    await_button(boss, "Let in", seconds=30)
    thief = let_in(world, telegram.person(name="Thief"))
    data = next(
        button["callback_data"]
        for shown in reversed(boss.sees())
        for row in shown.buttons
        for button in row
        if button["text"] == "Let in"
    )

    foreign = boss.taps("Let in", person=thief, data=data)
    taps = [boss.taps("Let in", data=data) for _ in range(2)]

    newcomer.awaits("Welcome", seconds=30)
    assert eventually(lambda: None not in [tap.answer for tap in (foreign, *taps)], seconds=30)
    assert foreign.is_alert
    assert [tap.is_alert for tap in taps] == [False, True]
    query = "SELECT count(*) FROM projects_user WHERE telegram_id = %s"
    assert world.rows(query, newcomer.id) == [(1,)]


def test_product_owner_that_hangs_is_stopped_and_told_and_the_next_one_answers(stalled: Person) -> None:
    told = stalled.awaits("took too long and was stopped", seconds=TURN_TIMEOUT_SECONDS + ANSWER_SECONDS)
    stalled.says("status")
    stalled.awaits("You have no project yet", seconds=ANSWER_SECONDS)

    assert told.button_texts() == ["Hand my message over once more"]
