"""A running system for journeys: its own supervisor, REST as a person, and eyes on rows and processes."""

import atexit
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from orchestrator.embedded import Embedded
from orchestrator.embedded.processes import free_port
from orchestrator.env import ROOT
from orchestrator.stack import Stack
from orchestrator.stack.prepare import prepare_database, run_module
from worker_image.cli.api import Api, ApiError
from worker_image.cli.credentials import Credentials
from worker_image.cli.task_commands import begin

#: Short, so that a hanging agent is a test and not a coffee break.
TURN_TIMEOUT_SECONDS = 25
_FINAL = {"completed", "failed", "cancelled"}
_SERVERS = ("DATABASE_URL", "REDIS_URL", "CHANNEL_REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "VAR_DIR")
#: What makes one installation of many on a Docker daemon; each stack derives its own.
_OF_ANOTHER = (*_SERVERS, "WORKERS_INSTALLATION")


class World:
    """One stack of its own, its API as one person, and eyes on its rows, repositories and processes."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._apis: list[Api] = []
        self.api = self.as_person("journey")
        self.database_url = stack.child_env()["DATABASE_URL"]

    def as_person(self, name: str) -> Api:
        """Return the API as another person sees it."""
        token = run_module("manage", "personal_token", name, env=self.stack.child_env(), root=ROOT).strip()
        self._apis.append(Api(Credentials(url=self.stack.web_url, token=token)))
        return self._apis[-1]

    def close(self) -> None:
        """Close the connections to the API."""
        for api in self._apis:
            api.close()

    def begin(self, sentence: str, *, name: str = "", deploy: bool = True) -> dict[str, Any]:
        """Create a project from a sentence and start the work on it; returns the task."""
        name = name or f"journey {secrets.token_hex(4)}"
        body = {"name": name, "description": sentence, "modules": ["backend"]}
        project = self.api.post("/api/projects/", body, create=True)
        return begin(
            self.api, project_id=project["id"], type="engineering", spec=sentence, deploy_after=deploy
        )

    def follow_up(self, project_id: str, sentence: str) -> dict[str, Any]:
        """Start a second change of a project."""
        return begin(self.api, project_id=project_id, type="engineering", spec=sentence, deploy_after=True)

    def card(self, task_id: str) -> dict[str, Any]:
        """Return the card; waits out a web process that is being restarted."""
        return self.patiently(lambda: self.api.get(f"/api/tasks/{task_id}/card/"))

    def wait(self, task_id: str, *, seconds: float = 120.0) -> dict[str, Any]:
        """Return the card once the task and what follows it are final."""
        until = time.monotonic() + seconds
        while True:
            card = self.card(task_id)
            if card["status"] in _FINAL:
                return card
            if time.monotonic() > until:
                lines = "\n".join(f"  {line['kind']}: {line['text']}" for line in card["lines"][-8:])
                raise AssertionError(
                    f"{task_id} is {card['status']} after {seconds:.0f} s:\n{lines}\n{self.logs()}"
                )
            time.sleep(0.2)

    def patiently(self, ask: Callable[[], Any], *, seconds: float = 30.0) -> Any:
        """Repeat a question while the API is unavailable."""
        until = time.monotonic() + seconds
        while True:
            try:
                return ask()
            except ApiError as error:
                if error.kind != "unavailable" or time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the database, waiting out its restart."""
        until = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(self.database_url, autocommit=True, connect_timeout=3) as connection:
                    return connection.execute(query, parameters).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def kinds(self, task_id: str) -> list[str]:
        """Return the kinds of the events of a task and of what follows it, in order."""
        query = """
            SELECT e.kind FROM projects_taskevent e JOIN projects_task t ON t.id = e.task_id
            WHERE t.id = %s OR t.follows_id = %s ORDER BY t.created_at, e.seq"""
        return [kind for (kind,) in self.rows(query, task_id, task_id)]

    def command(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the `orchestrator` command as this person; returns its exit code and its JSON."""
        credentials = self.api.credentials
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.stack.var_dir),
            "ORCHESTRATOR_URL": credentials.url,
            "ORCHESTRATOR_TOKEN": credentials.token,
        }
        argv = [sys.executable, "-m", "worker_image.cli", *arguments]
        ended = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)
        return ended.returncode, json.loads(ended.stdout)

    def admin(self) -> httpx.Client:
        """Return a browser, so to speak, in which an operator is signed in."""
        password = secrets.token_urlsafe(12)
        script = (
            "from django.contrib.auth import get_user_model as model\n"
            "import os\n"
            "model().objects.create_superuser(username='operator', password=os.environ['PASSWORD'])"
        )
        environment = {**self.stack.child_env(), "PASSWORD": password}
        run_module("manage", "shell", "--command", script, env=environment, root=ROOT)
        browser = httpx.Client(base_url=self.stack.web_url, follow_redirects=True)
        browser.get("/admin/login/")
        form = {
            "username": "operator",
            "password": password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
            "next": "/admin/",
        }
        browser.post("/admin/login/", data=form, headers={"Referer": f"{self.stack.web_url}/admin/login/"})
        return browser

    def reaches(self, task_id: str, kind: str, *, seconds: float, poll_seconds: float = 0.05) -> bool:
        """Wait until a task's timeline holds an event of a kind."""
        query = """
            SELECT 1 FROM projects_taskevent e JOIN projects_task t ON t.id = e.task_id
            WHERE (t.id = %s OR t.follows_id = %s) AND e.kind = %s LIMIT 1"""
        until = time.monotonic() + seconds
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while time.monotonic() < until:
                if connection.execute(query, (task_id, task_id, kind)).fetchone():
                    return True
                time.sleep(poll_seconds)
        return False

    def worker_processes(self, task_id: str) -> list[int]:
        """Return the pids of the wrappers that work on a task."""
        workers = {
            str(pk) for (pk,) in self.rows("SELECT id FROM workers_worker WHERE task_id = %s", task_id)
        }
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            command = process.info["cmdline"] or []
            place = process.info["cwd"] or ""
            if any("worker_wrapper" in word for word in command) and any(pk in place for pk in workers):
                found.append(process.pid)
        return found

    def merges(self, project_id: str) -> list[str]:
        """Return the merge commits of a project's default branch, counted in the bare repository."""
        ((slug,),) = self.rows("SELECT slug FROM projects_project WHERE id = %s", project_id)
        repository = self.stack.var_dir / "forge" / f"{slug}.git"
        argv = [
            "git",
            "--git-dir",
            str(repository),
            "log",
            "--first-parent",
            "--merges",
            "--format=%H",
            "main",
        ]
        environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}
        return subprocess.run(
            argv, capture_output=True, text=True, check=True, env=environment
        ).stdout.split()

    def listeners(self, port: int) -> set[int]:
        """Return the pids that listen on a loopback port."""
        return {
            connection.pid
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        }

    def service_port(self, url: str) -> int:
        """Return the port of the release that a project's address leads to; 0 if there is none."""
        query = """
            SELECT own.port FROM infra_portallocation own
            JOIN infra_servicedeployment release ON release.id = own.deployment_id
            WHERE release.url = %s AND release.status = 'live'"""
        return next((port for (port,) in self.rows(query, url)), 0)

    def logs(self) -> str:
        """Return what the processes said last, for a failing test."""
        parts = []
        for path in sorted((self.stack.var_dir / "run" / "logs").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            loud = [line for line in lines if '"level": "error"' in line or '"level": "warning"' in line]
            parts += [f"--- {path.name}", *(line[:600] for line in loud[-6:])]
        return "\n".join(parts)


@contextmanager
def running(
    *, without: tuple[str, ...] = ("flower",), settings: Mapping[str, str] | None = None
) -> Iterator[World]:
    """Start a stack with a state directory of its own; stop it and remove everything at the end.

    Args:
        without: processes that are not started.
        settings: environment variables besides, or instead of, those of every journey.

    """
    var_dir = Path(tempfile.mkdtemp(prefix="orchestrator-journey-"))
    var_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    env = _environment() | dict(settings or {})
    subprocess.run(["cp", "--archive", *map(str, _migrated()), str(var_dir)], check=True)
    warm_cache = ROOT / "var" / "cache"
    if warm_cache.exists():
        shutil.copytree(warm_cache, var_dir / "cache", symlinks=True, copy_function=os.link)
    registries = ROOT / "var" / "installers.env"
    if registries.exists():
        shutil.copy2(registries, var_dir)
    # Not the first free one from 8000: other stacks that start at this moment would choose it, too.
    stack = Stack(var_dir, env, without=without, web_port=free_port(), keep_homes=False)
    try:
        stack.start()
        stack.wait_ready(120)
        world = World(stack)
        yield world
        world.close()
    finally:
        stack.stop()
        shutil.rmtree(var_dir)


def _environment() -> dict[str, str]:
    base = 33_000 + 200 * (os.getpid() % 100)
    return {key: value for key, value in os.environ.items() if key not in _OF_ANOTHER} | {
        "WORKERS_TURN_TIMEOUT_SECONDS": str(TURN_TIMEOUT_SECONDS),
        "INFRA_PORT_RANGE_START": str(base),
        "INFRA_PORT_RANGE_END": str(base + 199),
        "WORKERS_DEFAULT_AGENT": "rehearsal",
        # A journey in containers says so itself, and carries the marker ``docker``.
        "WORKERS_RUNTIME": "process",
    }


@cache
def _migrated() -> tuple[Path, Path]:
    """Return the home of a database on which all migrations ran, and its keys; stacks begin with copies.

    How a stack makes its first database is what `tests/orchestrator/test_stack.py` looks at.
    """
    var_dir = Path(tempfile.mkdtemp(prefix="orchestrator-migrated-"))
    var_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    atexit.register(shutil.rmtree, var_dir)
    embedded = Embedded(var_dir)
    embedded.start()
    try:
        environment = _environment() | embedded.env() | {"VAR_DIR": str(var_dir)}
        prepare_database(environment, var_dir=var_dir, root=ROOT, remember=True)
    finally:
        embedded.stop()
    return var_dir / "postgres", var_dir / "embedded.env"


def eventually(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Ask until it is true or the time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False
