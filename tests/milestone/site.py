"""A building site: a whole system with containers, a model on its bridge, and people who ask for workers."""

import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.workers.runtime.base import ExecResult
from apps.workers.runtime.docker import DockerRuntime
from orchestrator.installation import bridge_name
from tests.journeys.greetings import GREETINGS
from tests.journeys.world import World, running
from tests.milestone.foreman import Foreman
from tests.model_server import KEY, ModelServer, Run, Say, Scenario, Stall, model_server
from tests.model_server.script import Recall

FACTORY_KEY = KEY
BUILD_SECONDS = 400
ENDED = ("succeeded", "failed", "crashed", "canceled")
CREATE = "orchestrator project create --name milestone --description 'made by an agent' --no-scaffold"
DONE = Say('It is there.\n<result>{"status": "success", "summary": "created"}</result>')
SCENARIOS = (
    GREETINGS,
    Scenario("create the milestone project", (Run(CREATE), DONE)),
    Scenario("stall for ever", (Stall(with_pings=True),)),
    Scenario("fall silent for good", (Stall(),)),
    Scenario("my number is 41", (Say("I keep it in mind."),)),
    Scenario("what did I say", (Recall(),)),
)


@dataclass
class Site:
    """A running system."""

    world: World
    model: ModelServer
    foreman: Foreman
    runtime: DockerRuntime
    session_dir: Path
    """A directory of this machine that may be lent to an agent as its session."""

    def worker(self, person: str, **request: Any) -> str:
        """Request a worker and wait until it runs; returns its id."""
        worker_id = self.foreman.request_worker(person, **request)
        status = self.wait_for_worker(worker_id, "running")
        assert status == "running", self.row("workers_worker", worker_id)
        return worker_id

    def wait_for_worker(self, worker_id: str, *wanted: str, seconds: float = BUILD_SECONDS) -> str:
        """Wait until a worker has one of these statuses or has ended; returns the status."""
        until = time.monotonic() + seconds
        while (status := self.row("workers_worker", worker_id)["status"]) not in (*wanted, *ENDED):
            assert time.monotonic() < until, f"the worker is {status}\n{self.world.logs()}"
            time.sleep(0.2)
        return str(status)

    def turn(self, worker_id: str, prompt: str) -> dict[str, Any]:
        """Give a worker a prompt and wait for the end of the turn; returns its row."""
        return self.wait_for_turn(self.foreman.send_turn(worker_id, prompt))

    def wait_for_turn(self, turn_id: str, *, seconds: float = 180) -> dict[str, Any]:
        """Wait for the end of a turn; returns its row."""
        until = time.monotonic() + seconds
        while (row := self.row("workers_turn", turn_id))["status"] not in ENDED:
            assert time.monotonic() < until, f"the turn is {row['status']}\n{self.world.logs()}"
            time.sleep(0.1)
        return row

    def row(self, table: str, key: str) -> dict[str, Any]:
        """Return a row as a mapping."""
        ((row,),) = self.world.rows(f"SELECT to_jsonb(t) FROM {table} t WHERE id = %s", key)
        return dict(row)

    def exec(self, worker_id: str, *command: str) -> ExecResult:
        """Run a command in a worker's container."""
        return self.runtime.exec(f"worker-{worker_id}", command)

    def shell(self, worker_id: str, script: str) -> str:
        """Return what a script prints in a worker's container, which must succeed."""
        ended = self.exec(worker_id, "sh", "-c", script)
        assert ended.exit_code == 0, ended
        return ended.output

    def run_by_agent(self, worker_id: str, command: str) -> str:
        """Let the agent run a command by its own shell; returns what its model was told of it.

        What is executed in a container from outside has none of its secrets: only the agent can speak for
        its worker.
        """
        word = f"errand {secrets.token_hex(4)}"
        self.model.script.scenarios += (Scenario(word, (Run(command), Say("It was run."))),)
        turn = self.turn(worker_id, f"Please do {word}")
        assert turn["status"] == "succeeded", turn
        asked = [item.conversation for item in self.model.asked if word in item.conversation.text]
        return asked[-1].tool_results[-1]

    def cli(self, worker_id: str, arguments: str) -> dict[str, Any]:
        """Let the agent use the `orchestrator` command; returns what it said, with its exit code."""
        told = self.run_by_agent(worker_id, f"orchestrator {arguments} 2>/dev/null; echo exit=$?")
        answer = next(json.loads(line) for line in told.splitlines() if line.startswith("{"))
        code = next(line.removeprefix("exit=") for line in told.splitlines() if line.startswith("exit="))
        return {**answer, "exit_code": int(code)}

    def image_of(self, worker_id: str) -> str:
        """Return the id of a worker's image."""
        client = self.runtime.connection.client()
        return str(client.containers.get(f"worker-{worker_id}").image.id)

    def projects_of(self, person: str) -> list[str]:
        """Return the names of a person's projects."""
        query = """
            SELECT p.name FROM projects_project p JOIN projects_user u ON u.id = p.owner_id
            WHERE u.username = %s"""
        return [name for (name,) in self.world.rows(query, person)]


@contextmanager
def site(
    *scenarios: Scenario, settings: Mapping[str, str] | None = None, without_model: Sequence[str] = ()
) -> Iterator[Site]:
    """Run a system whose workers are containers and whose agents ask the scripted model.

    Args:
        scenarios: besides those that every site has.
        settings: environment variables besides, or instead of, those of every site.
        without_model: variables of the scripted model that are left out, so that real ones stay.

    """
    installation = f"m{secrets.token_hex(5)}"
    runtime = DockerRuntime(installation=installation, interface=bridge_name(installation))
    with (
        tempfile.TemporaryDirectory(prefix="session-", dir="/tmp") as lent,
        model_server(*SCENARIOS, *scenarios, host=runtime.gateway()) as model,
    ):
        scripted = {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": model.url,
            "FACTORY_API_KEY": FACTORY_KEY,
            "FACTORY_BASE_URL": model.url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": model.openai_url,
        }
        given = {
            "WORKERS_RUNTIME": "docker",
            "WORKERS_DEFAULT_AGENT": "claude",
            "WORKERS_TURN_TIMEOUT_SECONDS": "240",
            "WORKERS_INSTALLATION": installation,
            "WORKERS_HOST_SESSION_DIRS": lent,
            **{name: value for name, value in scripted.items() if name not in without_model},
            **(settings or {}),
        }
        with running(settings=given) as world:
            foreman = Foreman(world.stack)
            try:
                yield Site(world, model, foreman, runtime, Path(lent))
            finally:
                foreman.close()
        runtime.connection.client().close()
