"""Records traces of the real agents: `python -m tests.liveness --clis DIRECTORY [NAME ...]`.

The directory holds `node_modules` with the pinned packages of `apps/workers/agents`. Every agent runs against
the scripted model at its real pace, many at once: they are idle most of the time. A full recording takes
about a quarter of an hour.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from apps.workers.liveness import Evidence
from apps.workers.runtime.base import Phase as ContainerPhase
from tests.liveness.plans import Plan, plans
from tests.liveness.traces import DIRECTORY, Trace, save
from tests.model_server.script import Call, Conversation, Scenario, Script, Step
from tests.model_server.server import ModelServer, model_server
from worker_image import processes
from worker_image.contract import Heartbeat

AT_ONCE = 26
STAGGER_SECONDS = 1.5
MARK_SECONDS = 120
PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "droid": "@factory/cli-linux-x64",
}
ROOT = Path(__file__).parents[2]
_SESSION = re.compile(r"session ID (\d+)")


class PollingScript(Script):
    """Fills in the session that Codex gave a long command."""

    def next_step(self, conversation: Conversation) -> Step:
        """Return what to do about a request."""
        step = Script.next_step(self, conversation)
        if isinstance(step, Call) and step.tool == "write_stdin":
            found = _SESSION.findall("\n".join(conversation.tool_results))
            return Call(step.tool, {**step.input, "session_id": int(found[-1]) if found else 0})
        return step


@dataclass(slots=True)
class Container:
    """One probe as the control plane sees it."""

    plan: Plan
    process: asyncio.subprocess.Process
    began: float
    heartbeat: Heartbeat | None = None
    word_at: float | None = None
    agent_pid: int | None = None
    ended_at: float | None = None
    is_paused: bool = False
    looks: list[tuple[float, Evidence]] = field(default_factory=list)

    async def read(self) -> None:
        """Take in what its wrapper reports."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            words = json.loads(line)
            if "heartbeat" in words:
                self.heartbeat = Heartbeat.model_validate(words["heartbeat"])
                self.word_at, self.agent_pid = time.monotonic(), words["pid"]
            else:
                self.ended_at = time.monotonic()

    def look(self) -> None:
        """Note what is known now."""
        now = time.monotonic()
        phase = ContainerPhase.PAUSED if self.is_paused else ContainerPhase.RUNNING
        phase = phase if self.process.returncode is None else ContainerPhase.EXITED
        evidence = Evidence(
            status="starting" if self.word_at is None else "running",
            container=phase,
            word_seconds=None if self.word_at is None else round(now - self.word_at, 1),
            phase=self.heartbeat.phase if self.heartbeat else None,
            signs=self.heartbeat.agent if self.heartbeat else None,
            is_asked=self.ended_at is None,
            had_turn=True,
            is_talker=self.plan.is_talker,
        )
        self.looks.append((round(now - self.began, 1), evidence))

    def act(self) -> None:
        """Do to it what its story says."""
        match self.plan.act:
            case "kill":
                self.kill()
            case "freeze" if self.agent_pid:
                for pid in (self.agent_pid, *_parts_below(self.agent_pid)):
                    os.kill(pid, signal.SIGSTOP)
            case "pause":
                self.is_paused = True
                os.kill(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """Kill everything in it at once, as the end of a container does."""
        pids = [self.process.pid, *(item.pid for item in processes.descendants(self.process.pid))]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def record(plan: Plan, model: ModelServer, clis: Path) -> Trace:
    """Make one recording.

    Raises:
        AssertionError: the story did not come to where its label begins to be true.

    """
    directory = Path(tempfile.mkdtemp(prefix="liveness-"))
    try:
        container = await _start(plan, model, clis, directory)
        reading = asyncio.create_task(container.read())
        looking = asyncio.create_task(_look(container))
        try:
            since = await _play(container, model)
            await asyncio.sleep(max(0.0, since + plan.seconds - time.monotonic()))
            container.look()
        finally:
            looking.cancel()
            container.kill()
            await container.process.wait()
            await reading
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Trace(
        name=plan.name.removesuffix("-end"),
        agent=plan.agent,
        program=version_of(plan.agent, clis),
        story=plan.story,
        label=plan.label,
        since=round(since - container.began, 1),
        looks=tuple(container.looks),
    )


async def _start(plan: Plan, model: ModelServer, clis: Path, directory: Path) -> Container:
    home, work = directory / "home", directory / "work"
    for path in (home, work):
        path.mkdir()
    orders = {
        "command": command_of(plan, model),
        "environment": environment_of(plan.agent, model, clis, home),
        "directory": str(work),
        "idle": plan.idle,
        "prepare": plan.prepare,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.liveness.probe"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    await process.stdin.drain()
    return Container(plan, process, time.monotonic())


async def _look(container: Container) -> None:
    """Look at the pace of the sweep, between two heartbeats rather than right after one."""
    await asyncio.sleep(min(0.5, container.plan.every))
    container.look()
    await asyncio.sleep(container.plan.every / 2)
    while True:
        container.look()
        await asyncio.sleep(container.plan.every)


async def _play(container: Container, model: ModelServer) -> float:
    """Wait for the mark, act, and return the moment from which the label is true."""
    plan = container.plan
    if plan.mark == "start":
        return container.began
    asked_at = await _wait_for(lambda: _asked(plan, model))
    if plan.act in {"kill", "freeze"}:
        await asyncio.sleep(plan.act_after)
        container.act()
        return time.monotonic()
    if plan.mark == "asked":
        return asked_at
    ended_at = await _wait_for(lambda: container.ended_at)
    if plan.act:
        await asyncio.sleep(7)
        container.act()
    return ended_at


def _asked(plan: Plan, model: ModelServer) -> float | None:
    times = [item.at for item in model.asked if plan.name in item.conversation.text]
    return times[plan.nth - 1] if len(times) >= plan.nth else None


async def _wait_for(find: Any) -> float:
    until = time.monotonic() + MARK_SECONDS
    while (found := find()) is None:
        assert time.monotonic() < until, "the story got stuck"
        await asyncio.sleep(0.2)
    return float(found)


def _parts_below(pid: int) -> list[int]:
    """Return the agent's own program below its launcher."""
    return [item.pid for item in processes.descendants(pid) if item.name == "codex"]


def command_of(plan: Plan, model: ModelServer) -> list[str]:
    """Return the agent's command line, headless and at the scripted model."""
    prompt = f"Do {plan.name} as told."
    match plan.agent:
        case "claude":
            flags = ["--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]
            return ["claude", "-p", prompt, *flags]
        case "droid":
            flags = ["-o", "stream-json", "--skip-permissions-unsafe", "-m", "custom:scripted"]
            return ["droid", "exec", *flags, prompt]
        case _:
            wire = f'{{name="s",base_url="{model.openai_url}",env_key="OPENAI_API_KEY",wire_api="responses"}}'
            provider = ["-c", "model_provider=s", "-c", f"model_providers.s={wire}", "-m", "gpt-5.1-codex"]
            flags = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
            return ["codex", "exec", *flags, *provider, prompt]


def environment_of(agent: str, model: ModelServer, clis: Path, home: Path) -> dict[str, str]:
    """Return the agent's whole environment."""
    modules = clis / "node_modules"
    programs = [modules / ".bin", modules / "@factory" / "cli-linux-x64" / "bin"]
    path = ":".join([*map(str, programs), os.environ["PATH"]])
    variables = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "DISABLE_AUTOUPDATER": "1"}
    if agent == "droid":
        own = {"model": "scripted", "displayName": "s", "baseUrl": model.url, "apiKey": model.key}
        settings = home / ".factory" / "settings.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps({"customModels": [{**own, "provider": "anthropic"}]}))
        return variables
    key = {"claude": "ANTHROPIC_API_KEY", "codex": "OPENAI_API_KEY"}[agent]
    # The isolation of a sandbox is what lets Claude run as root.
    return {**variables, key: model.key, "ANTHROPIC_BASE_URL": model.url, "IS_SANDBOX": "1"}


def version_of(agent: str, clis: Path) -> str:
    """Return the version of an agent's package."""
    manifest = json.loads((clis / "node_modules" / PACKAGES[agent] / "package.json").read_text())
    return str(manifest["version"])


async def record_all(chosen: list[Plan], clis: Path, directory: Path) -> int:
    """Make recordings side by side and return how many failed."""
    places, failed = asyncio.Semaphore(AT_ONCE), []
    scenarios = [Scenario(plan.name, plan.steps) for plan in chosen]
    with model_server(*scenarios) as model:
        model.script = PollingScript(tuple(scenarios))

        async def make(place: int, plan: Plan) -> None:
            await asyncio.sleep(place * STAGGER_SECONDS)
            async with places:
                try:
                    save(await record(plan, model, clis), directory)
                    print(f"recorded {plan.name}", flush=True)
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    failed.append(plan)
                    print(f"FAILED {plan.name}: {error}", flush=True)

        await asyncio.gather(*(make(place, plan) for place, plan in enumerate(chosen)))
    return len(failed)


def main() -> int:
    """Record what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clis", type=Path, required=True, help="directory with node_modules of the agents")
    parser.add_argument("--to", type=Path, default=DIRECTORY)
    parser.add_argument("--quick", action="store_true", help="a rehearsal: a few seconds of each")
    parser.add_argument("names", nargs="*", help="beginnings of names; none: all")
    words = parser.parse_args()
    chosen = [plan for plan in plans() if not words.names or plan.name.startswith(tuple(words.names))]
    if words.quick:
        chosen = [replace(plan, seconds=min(plan.seconds, 12.0)) for plan in chosen]
    return asyncio.run(record_all(chosen, words.clis, words.to))
