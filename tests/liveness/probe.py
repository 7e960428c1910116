"""Stands for a worker's container: runs one turn of a real agent and prints what its wrapper would report.

`python -m tests.liveness.probe`, with its orders as JSON on stdin. The run, the watch and the heartbeat are
the wrapper's own; only the streams and the checkout are left out.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from worker_image import processes
from worker_image.agent_run import AgentRun, run_agent
from worker_image.agent_watch import AgentWatch
from worker_image.capture import Capture
from worker_image.contract import HEARTBEAT_SECONDS, Heartbeat, Phase


class Probe:
    """One container's life."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._orders = orders
        self._phase = Phase.IDLE
        self._watch: AgentWatch | None = None
        self._run: AgentRun | None = None

    async def live(self) -> None:
        """Take the turn, then stay idle until killed."""
        beat = asyncio.create_task(self._beat())
        await asyncio.sleep(self._orders["idle"])
        self._phase = Phase.PREPARING
        await asyncio.sleep(self._orders["prepare"])
        await self._take_turn()
        self._phase = Phase.IDLE
        say({"ended": True})
        await beat

    async def _take_turn(self) -> None:
        run = AgentRun(Capture(on_line=self._see_line), Capture())
        self._run, self._phase = run, Phase.RUNNING
        self._watch = AgentWatch(run, Path(self._orders["environment"]["HOME"]))
        await run_agent(
            run,
            self._orders["command"],
            directory=Path(self._orders["directory"]),
            environment=self._orders["environment"],
            timeout_seconds=3_600,
        )
        words = f"{run.start_error} {run.stderr.text()[-500:]}"
        print(f"agent ended: {run.exit_code} {words}", file=sys.stderr)

    async def _beat(self) -> None:
        while True:
            signs = self._watch.sample() if self._watch else None
            heartbeat = Heartbeat(phase=self._phase, children=processes.count_children(), agent=signs)
            pid = self._run.pid if self._run else None
            say({"heartbeat": heartbeat.model_dump(mode="json"), "pid": pid})
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _see_line(self, line: str) -> None:
        if self._watch is not None:
            self._watch.see_line(line)


def say(words: dict[str, Any]) -> None:
    """Print one line of JSON."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    processes.protect_self()
    asyncio.run(Probe(json.loads(sys.stdin.readline())).live())
