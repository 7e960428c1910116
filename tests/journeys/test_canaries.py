"""Twenty-three secrets go in by every way there is, are used by a running project, and are nowhere else."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
import redis

from tests.canaries import places
from tests.canaries.finder import Finding, Haystack
from tests.canaries.places import Listener, Watch
from tests.canaries.values import Canary, draw_canaries, draw_control
from tests.journeys.canary_ways import ANSWER_SECONDS, Hands, broken_store, listed_paths
from tests.journeys.test_chat import await_button, let_in
from tests.journeys.world import World, eventually, running
from tests.telegram_server import Person, TelegramServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BUILD_SECONDS: Final = 240.0
#: Given in the dialog; by the button of a question; to the API; by the command line; never kept.
DIALOG: Final = ("PEM", "LINES", "QUOTES", "UNICODE", "SHORT", "SPACES", "SLASH")
BUTTON, TYPED_ANSWER = "BOT_TOKEN", "STRIPE"
REST: Final = ("OPENAI", "AWS", "HEX", "LONG", "MARKUP", "PERCENT")
COMMAND: Final = ("QUERY", "JSON", "URL")
STRAY: Final = ("ANTHROPIC", "GITHUB", "UNKNOWN_BOT_TOKEN")
KEPT: Final = (*DIALOG, BUTTON, *REST, *COMMAND, TYPED_ANSWER)
REFUSED: Final = ("ANTHROPIC", "PEM", "UNICODE", "HEX")
#: Every kind of place, each of which must give the control away.
PLACES: Final = frozenset(
    {
        *("database", "logs", "files", "git", "bundles", "broker", "channel", "said to broker"),
        *("said to channel", "telegram", "answers", "argv", "environ"),
    }
)


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramServer]:
    """A double of its own: the bot of the journeys' shared system would take what is said to this one."""
    with TelegramServer() as started:
        yield started


@pytest.fixture(scope="module")
def quiet_world(telegram: TelegramServer) -> Iterator[World]:
    """A system of its own: what is said in it is all that there is to be found."""
    settings = {"TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_API_BASE_URL": telegram.url}
    with running(without=(), settings=settings) as world:
        yield world


def test_secrets_are_used_and_found_nowhere(quiet_world: World, telegram: TelegramServer) -> None:
    world, project_bot = quiet_world, telegram.add_bot()
    canaries, control = draw_canaries(bot_token=project_bot.token), draw_control()
    ada = let_in(world, telegram.person(name="Ada"))
    with _observed(world) as seen:
        hands, task_id = _begin(world, ada)
        with closing(hands.http):
            _hand_in(hands, canaries, task_id)
            url = _answer_questions(world, hands, canaries, task_id)
            with broken_store(world):
                _break(hands, canaries)
            _show_everything(world, hands, task_id)
            used = _environment_of_service(world, url)
            _plant(world, telegram, hands, control, seen.watch)
    with tempfile.TemporaryDirectory() as directory:
        haystack = Haystack(Path(directory) / "haystack", [*canaries.values(), control])
        seen.add_to(haystack)
        for about, answer in hands.answers:
            haystack.add("answers", answer, about=about)
        own = {telegram.token, project_bot.token, canaries["UNKNOWN_BOT_TOKEN"].value}
        _add_what_is_kept(haystack, world, telegram, own=own)
        traces = sorted(f"{name} in {path}" for name, path in haystack.traces() if name != control.name)
        found = haystack.findings()
        on_disk = haystack.raw(world.stack.var_dir / "postgres")

    assert {name for name in KEPT if canaries[name].value.encode() in used} == set(KEPT)
    assert not traces, "\n".join(traces)
    assert found == {Finding(control.name, place) for place in PLACES}
    assert on_disk == {control.name}
    assert eventually(lambda: not _shown(canaries, ada), seconds=30), _shown(canaries, ada)


def _shown(canaries: dict[str, Canary], person: Person) -> list[str]:
    """Return the names of those of which a line still stands in the chat."""
    words = "\n".join(shown.text for shown in person.sees())
    lines = {name: one.value.splitlines() for name, one in canaries.items()}
    return [name for name, own in lines.items() if any(line in words for line in own)]


def _begin(world: World, ada: Person) -> tuple[Hands, str]:
    """Make a project that wants secrets, and somebody's who must not have them."""
    ((username,),) = world.rows("SELECT username FROM projects_user WHERE telegram_id = %s", ada.id)
    world.api = api = world.as_person(username)
    words = {"name": "Keeper of keys", "description": "a list of notes with title", "modules": ["backend"]}
    project = api.post("/api/projects/", words, create=True)
    api.post(f"/api/projects/{project['id']}/scaffold/")
    scaffolded = f"SELECT status FROM projects_project WHERE id = '{project['id']}'"
    assert eventually(lambda: world.rows(scaffolded) == [("active",)], seconds=120), world.logs()
    _want_secrets(world, project["slug"])
    sentence = "a list of notes with title and text\nrehearsal: print-environment"
    task = {"project_id": project["id"], "type": "engineering", "spec": sentence, "deploy_after": True}
    created = api.post("/api/tasks/", task, create=True)
    return Hands(world, ada, api.credentials.token, project["slug"]), created["id"]


def _want_secrets(world: World, slug: str) -> None:
    """Name the secrets in the project's manifest, as its people would."""
    entries = "".join(
        f"  - key: {name}\n    source: user_secret\n    consumers: [backend]\n    targets: [process]\n"
        + ("    format: telegram_bot_token\n" if name == BUTTON else "")
        for name in KEPT
    )
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "safe.directory=*"]
    with tempfile.TemporaryDirectory() as directory:
        checkout = Path(directory) / "checkout"
        run = {"check": True, "capture_output": True, "cwd": directory}
        subprocess.run(["git", *identity, "clone", "-q", str(_forge(world, slug)), str(checkout)], **run)
        manifest = checkout / "project.yaml"
        head, mark, tail = manifest.read_text().partition("# An agent may not change these")
        manifest.write_text(f"{head}{entries}{mark}{tail}")
        run["cwd"] = str(checkout)
        subprocess.run(["make", "env-example"], env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, **run)
        subprocess.run(["git", *identity, "commit", "-q", "-a", "-m", "Want secrets"], **run)
        subprocess.run(["git", *identity, "push", "-q", "origin", "main"], **run)


def _forge(world: World, slug: str) -> Path:
    return world.stack.var_dir / "forge" / f"{slug}.git"


def _hand_in(hands: Hands, canaries: dict[str, Canary], task_id: str) -> None:
    """Begin the work, and give all secrets but two, and some where they do not belong."""
    project_id = hands.http.get(f"/api/tasks/{task_id}/").json()["project_id"]
    stranger = hands.world.as_person("stranger")
    foreign = stranger.post("/api/projects/", {"name": "Foreign", "modules": ["backend"]}, create=True)
    path = f"/api/projects/{project_id}/secrets/"
    hands.person.says(f"/secret {hands.slug} SHORT {canaries['SHORT'].value}")
    for name in DIALOG:
        hands.chat(canaries[name])
        hands.person.awaits(f"{name} of Keeper of keys is stored", seconds=ANSWER_SECONDS)
    hands.misfit(canaries["FILE"], canaries["TOO_LONG"])
    for name in REST:
        body = {"key": name, "value": canaries[name].value}
        told = [hands.post(path, body, **{"Idempotency-Key": f"key-{name}"}).status_code for _ in range(2)]
        assert told == [201, 201]
    for name in COMMAND:
        assert hands.command("project", "secret", project_id, name, typed=canaries[name].value) == 0
    assert hands.command("project", "secret", foreign["id"], "K", typed=canaries["JSON"].value) == 1
    assert hands.post(f"/api/tasks/{task_id}/start/", {}).status_code == 202
    for name in REFUSED:
        statuses = hands.refused(canaries[name], mine=project_id, foreign=foreign["id"])
        assert all(400 <= status < 500 for status in statuses), statuses
    for name in STRAY[:2]:
        hands.stray(canaries[name])


def _answer_questions(world: World, hands: Hands, canaries: dict[str, Canary], task_id: str) -> str:
    """Give what the deployment asks for, one by a button and one by the command line; return the address."""
    person = hands.person
    asked = "SELECT id FROM graph_question WHERE secret_key = %s AND status = 'open'"
    has_ended = ("completed", "failed", "cancelled")
    known = lambda: world.rows(asked, BUTTON) or world.card(task_id)["status"] in has_ended  # noqa: E731
    assert eventually(lambda: bool(known()), seconds=BUILD_SECONDS), (world.card(task_id), world.logs())
    assert world.rows(asked, BUTTON), str(world.card(task_id)["failure"])
    await_button(person, "Give the value", seconds=ANSWER_SECONDS)
    person.taps("Give the value")
    person.awaits(f"Send me the value of {BUTTON}", seconds=ANSWER_SECONDS)
    person.says(canaries["UNKNOWN_BOT_TOKEN"].value)
    person.awaits("Telegram does not know a bot", seconds=ANSWER_SECONDS)
    person.says(canaries[BUTTON].value)
    person.awaits(f"{BUTTON} of Keeper of keys is stored", seconds=ANSWER_SECONDS)
    assert eventually(lambda: bool(world.rows(asked, TYPED_ANSWER)), seconds=ANSWER_SECONDS), world.logs()
    ((question_id,),) = world.rows(asked, TYPED_ANSWER)
    typed = f"{canaries[TYPED_ANSWER].value}\n"
    assert hands.command("task", "answer", str(question_id), typed=typed) == 0
    card = world.wait(task_id, seconds=BUILD_SECONDS)
    assert card["status"] == "completed", card["failure"]
    assert any("variables as told" in line["text"] for line in card["lines"])
    return str(card["url"])


def _break(hands: Hands, canaries: dict[str, Canary]) -> None:
    """Give secrets while nothing can keep them."""
    project_id = hands.http.get("/api/projects/").json()["results"][0]["id"]
    for name in REFUSED:
        body = {"key": name, "value": canaries[name].value}
        assert hands.post(f"/api/projects/{project_id}/secrets/", body).status_code >= 500
    assert hands.command("project", "secret", project_id, "URL", typed=canaries["URL"].value) != 0
    hands.chat(canaries["SHORT"])
    hands.person.awaits("Something went wrong", seconds=ANSWER_SECONDS)
    hands.person.says("/help")


def _show_everything(world: World, hands: Hands, task_id: str) -> None:
    """Have everything shown that is shown to anybody: pages, lists, errors, what Flower and others tell."""
    rows = [f"/api/tasks/{task_id}/{part}" for part in ("", "card/", "events/")]
    with closing(world.admin()) as browser, httpx.Client(base_url=world.stack.web_url) as stranger:
        hands.wander(browser, ["/admin/"], most=160)
        schema = browser.get("/api/schema/", params={"format": "json"})
        for path in [*listed_paths(schema.content), *rows]:
            for client in (hands.http, browser):
                assert client.get(path).status_code < 500, path
        for path in ("", "workers", "tasks", "broker", "metrics"):
            assert browser.get(f"/flower/{path}").status_code == 200, path
        stranger.event_hooks = {"response": [hands.keep]}
        for path in ("/metrics", "/health/ready", "/api/nothing/", "/nothing"):
            stranger.get(path)


def _environment_of_service(world: World, url: str) -> bytes:
    """Return what the running service was given."""
    pids = world.listeners(world.service_port(url))
    return b"\n".join(Path(f"/proc/{pid}/environ").read_bytes() for pid in pids)


def _plant(world: World, telegram: TelegramServer, hands: Hands, control: Canary, watch: Watch) -> None:
    """Put the control into every kind of place, each time in another form."""
    value, var_dir = control.value, world.stack.var_dir
    coded, env = base64.b64encode(value.encode()), world.stack.child_env()
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE control (content bytea, words text)")
        connection.execute("INSERT INTO control VALUES (%s, %s)", [value.encode(), value])
    (var_dir / "run" / "logs" / "control.log").write_text("\n".join(value))
    (var_dir / "storage" / "control.bin").write_bytes(b"\0" + coded)
    _plant_in_git(next((var_dir / "forge").glob("*.git")), var_dir / "storage", value)
    for place in ("REDIS_URL", "CHANNEL_REDIS_URL"):
        with redis.Redis.from_url(env[place]) as client:
            client.xadd("control", {"body": b"x" + coded})
    body = {"chat_id": hands.person.id, "text": f"<b>{value[:9]}\n{value[9:]}</b>"}
    httpx.post(f"{telegram.url}/bot{telegram.token}/sendMessage", json=body).raise_for_status()
    program = [sys.executable, "-c", "import time; time.sleep(60)", value]
    with subprocess.Popen(program, env={"CONTROL": value}) as process:
        watch.look()
        process.kill()
    hands.http.post("/api/projects/", json={"name": "Control", "description": value, "modules": ["backend"]})


def _plant_in_git(repository: Path, storage: Path, value: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "words.txt").write_text(value)
        for command in (
            ["init", "-q"],
            ["add", "."],
            ["commit", "-q", "-m", "x"],
            ["bundle", "create", "b", "--all"],
        ):
            subprocess.run(["git", *identity, *command], check=True, capture_output=True, cwd=directory)
        shutil.copy(Path(directory) / "b", storage / "control")
        argv = ["git", "-c", "safe.directory=*", "hash-object", "-w", f"{directory}/words.txt"]
        subprocess.run(argv, check=True, capture_output=True, cwd=repository)


class _Seen:
    """What was seen while the system worked."""

    def __init__(self, world: World) -> None:
        env = world.stack.child_env()
        self.watch = Watch()
        self.listeners = {
            "said to broker": Listener(env["REDIS_URL"]),
            "said to channel": Listener(env["CHANNEL_REDIS_URL"]),
        }

    def add_to(self, haystack: Haystack) -> None:
        """Let all of it be searched, but for the one place where the secrets belong."""
        for place, listener in self.listeners.items():
            for line in listener.heard:
                haystack.add(place, line)
        for argv in self.watch.called:
            haystack.add("argv", argv)
        for home, environ in self.watch.given:
            if not _is_service(environ):
                haystack.add("environ", environ, about=home)


def _is_service(environ: bytes) -> bool:
    """Whether these are the variables of a deployed service, which is what its secrets were given for."""
    homes = [one for one in environ.split(b"\0") if one.startswith(b"HOME=")]
    return any(b"/units/service-" in home for home in homes)


@contextmanager
def _observed(world: World) -> Iterator[_Seen]:
    seen = _Seen(world)
    with ExitStack() as stack:
        for listener in seen.listeners.values():
            stack.enter_context(listener.listening())
        seen.watch.start()
        stack.callback(seen.watch.stop)
        yield seen


def _add_what_is_kept(haystack: Haystack, world: World, telegram: TelegramServer, *, own: set[str]) -> None:
    env = world.stack.child_env()
    places.add_database(haystack, world.database_url)
    places.add_redis(haystack, "broker", env["REDIS_URL"])
    places.add_redis(haystack, "channel", env["CHANNEL_REDIS_URL"])
    places.add_files(haystack, world.stack.var_dir)
    places.add_telegram(haystack, telegram, own=own)
