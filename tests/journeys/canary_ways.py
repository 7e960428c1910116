"""The ways in which people hand secrets in, rightly and wrongly; what is answered is kept for the search."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg

from orchestrator.env import ROOT
from tests.canaries.values import Canary
from tests.journeys.world import World
from tests.telegram_server import Person

ANSWER_SECONDS = 60.0
_CUT = 4_096


class Hands:
    """One person with three ways to the system, and everything that it answered them."""

    def __init__(self, world: World, person: Person, token: str, slug: str) -> None:
        self.world, self.person, self.slug = world, person, slug
        self._token = token
        self.answers: list[tuple[str, bytes]] = []
        self.http = httpx.Client(
            base_url=world.stack.web_url,
            headers={"Authorization": f"Token {token}"},
            event_hooks={"response": [self.keep]},
            timeout=60,
        )

    def keep(self, response: httpx.Response) -> None:
        """Keep an answer, headers and all."""
        response.read()
        about = f"{response.request.method} {response.request.url.path} {response.status_code}"
        head = b"".join(name + b": " + value + b"\n" for name, value in response.headers.raw)
        self.answers.append((about, head + b"\n" + response.content))

    def chat(self, canary: Canary) -> None:
        """Give a value in the dialog of /secret."""
        self.person.says(f"/secret {self.slug} {canary.name}")
        self.person.awaits(f"Send me the value of {canary.name}", seconds=ANSWER_SECONDS)
        self.person.says(canary.value)

    def misfit(self, file: Canary, too_long: Canary) -> None:
        """Give in the dialog what it does not take: a file, and what Telegram's programs cut in two."""
        self.person.says(f"/secret {self.slug} {file.name}")
        self.person.awaits(f"Send me the value of {file.name}", seconds=ANSWER_SECONDS)
        self.person.sends_document("key.txt", file.value.encode(), caption=file.value)
        self.person.awaits("Send the value as text", seconds=ANSWER_SECONDS)
        for begin in range(0, len(too_long.value), _CUT):
            self.person.says(too_long.value[begin : begin + _CUT])
        self.person.awaits("This is too long for a message", seconds=ANSWER_SECONDS)
        self.person.awaits("it came right behind", seconds=ANSWER_SECONDS)
        self.person.says("/help")  # what is said now is read again

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Ask the API for something."""
        return self.http.post(path, json=body, headers=headers)

    def command(self, *arguments: str, typed: str) -> int:
        """Run the command line and type something in; returns its exit code."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.world.stack.var_dir),
            "ORCHESTRATOR_URL": self.world.stack.web_url,
            "ORCHESTRATOR_TOKEN": self._token,
        }
        argv = [sys.executable, "-m", "worker_image.cli", *arguments]
        ended = subprocess.run(argv, input=typed.encode(), capture_output=True, cwd=ROOT, env=environment)
        self.answers.append((f"command {arguments[0]}", ended.stdout + ended.stderr))
        return ended.returncode

    def refused(self, canary: Canary, *, mine: str, foreign: str) -> list[int]:
        """Hand a value in by requests that must be refused; returns the statuses."""
        path = f"/api/projects/{mine}/secrets/"
        whole, raw = {"key": canary.name, "value": canary.value}, canary.value.encode()
        as_json = {"Content-Type": "application/json"}
        told = [
            self.post(f"/api/projects/{foreign}/secrets/", whole),
            self.post(path, {"key": "not a name", "value": canary.value}),
            self.post(path, {"key": canary.name, "valeu": canary.value}),
            self.post(path, {"key": canary.name, "value": [canary.value]}),
            self.post(path, {"key": canary.name, "value": (canary.value * 70_000)[:70_000]}),
            self.post(path, {"key": canary.name, "value": (canary.value * 200_000)[:1_500_000]}),
            self.http.post(path, content=b'{"key": "K", "value": "' + raw, headers=as_json),
            self.http.post(path, data={"key": canary.name, "value": canary.value}),
            self.http.post(path, content=raw, headers={"Content-Type": "text/plain"}),
            self.http.post(path, params={"value": canary.value}, json={"key": canary.name}),
            self.post(f"/api/projects/{mine}/", whole),
            self.post("/api/login/", {"username": "journey", "password": canary.value}),
            self.post("/api/webhooks/", {"url": canary.value, "events": [canary.value]}),
        ]
        return [one.status_code for one in told]

    def stray(self, canary: Canary) -> None:
        """Say, send and correct in the chat what nobody asked for."""
        self.person.says(f"here is the key: {canary.value} please use it")
        self.person.awaits("looked like it holds a secret", seconds=ANSWER_SECONDS)
        self.person.sends_photo(b"a picture of it", caption=canary.value)
        self.person.sends_document("key.txt", b"see above", caption=f"key {canary.value}")
        self.person.says(f"/new {canary.value}")
        self.person.says(f"/secret {self.slug} {canary.name} {canary.value}")
        self.person.says("/help")
        mine = [shown for shown in self.person.sees() if not shown.is_from_bot and shown.text == "/help"]
        self.person.edits(mine[-1].message_id, f"/help {canary.value}")

    def wander(self, browser: httpx.Client, starts: Iterable[str], *, most: int) -> None:
        """Look at pages of the admin, and where they lead, within it."""
        browser.event_hooks = {"response": [self.keep]}
        waiting, seen = list(starts), set(starts)
        while waiting and len(seen) < most:
            page = browser.get(waiting.pop(0))
            assert page.status_code < 500, page.request.url.path
            for found in _links(page.text):
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)


def _links(page: str) -> list[str]:
    pieces = (piece.partition('"')[0] for piece in page.split('href="/admin/')[1:])
    return [
        f"/admin/{piece}"
        for piece in pieces
        if not any(word in piece for word in ("logout", "delete", "jsi18n", "password", "?", "add/"))
    ]


@contextmanager
def broken_store(world: World) -> Iterator[None]:
    """Have the database lose the table of secrets for a while, so that whoever needs it fails badly."""
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE projects_projectsecret RENAME TO lost_for_a_while")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE lost_for_a_while RENAME TO projects_projectsecret")


def listed_paths(schema: bytes) -> list[str]:
    """Return the addresses of the API that show something and need no name of a row."""
    paths: dict[str, dict[str, Any]] = json.loads(schema)["paths"]
    return [path for path, methods in paths.items() if "get" in methods and "{" not in path]
