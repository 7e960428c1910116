"""Starts workers in containers, and bare containers beside them; prints the seconds as one line of JSON.

Runs in the environment of a running stack, whose own processes do the work. A row is created here, and the
agent's process is found in its container; both moments are the kernel's, so nothing has to be reported.
"""

import hashlib
import json
import math
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import psutil
from django.conf import settings
from django.contrib.auth import get_user_model

from apps import storage
from apps.workers import engine, selectors, services
from apps.workers.models import WorkerImage
from apps.workers.requests import WorkerRequest
from tests.apps.workers.tiny_project import make_change

ROUNDS: Final = 15
BURST: Final = 20
_WAIT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.01
_AGENT: Final = "worker_image.rehearsal"
_PROMPT: Final = "An inventory of books with title.\n\nrehearsal: hang"
_TURN_SECONDS: Final = 300
_LOADING_SECONDS: Final = 4
_HERTZ: Final = os.sysconf("SC_CLK_TCK")


def main(*, rounds: int = ROUNDS, burst: int = BURST) -> None:
    """Measure and print; one more start comes first, for whatever is only done once."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        starts = Starts(Path(place))
    starts.one(is_first=True)
    images = _builds()
    bare = [starts.bare() for _ in range(rounds)]
    found = [starts.one() for _ in range(rounds)]
    result: dict[str, Any] = {"bare": figures(bare), "found": found}
    for moment in ("container", "ready", "agent"):
        result[moment] = figures([one[moment] for one in found])
    if burst:
        result["burst"] = starts.burst(burst)
    result["builds"] = _builds() - images
    print(json.dumps(result))


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile (nearest rank)."""
    ordered = sorted(seconds)
    return {"p50": ordered[len(ordered) // 2], "p95": ordered[math.ceil(len(ordered) * 0.95) - 1]}


class Starts:
    """Asks for workers as the graph does, and watches them from outside."""

    def __init__(self, place: Path) -> None:
        change = make_change(place, {"README.md": "Books.\n"})
        name = storage.workspace_name(project_id=uuid4(), sha=change.head_sha)
        storage.save_bundle(change.bundle, name=name)
        self._client = engine.get_docker().connection.client()
        self._bare_command: list[str] = []
        person = get_user_model().objects.create_user(username=f"bench-{secrets.token_hex(4)}")
        self._request = WorkerRequest(
            worker_type="developer",
            agent_type="rehearsal",
            owner_id=person.pk,
            workspace_name=name,
            workspace_sha256=hashlib.sha256(change.bundle.read_bytes()).hexdigest(),
            base_branch="main",
            base_sha=change.head_sha,
            branch="task/bench",
        )

    def bare(self) -> float:
        """Return the seconds that a container like the last worker's takes by hand, to its end."""
        began = time.monotonic()
        subprocess.run([*self._bare_command, "true"], check=True, capture_output=True)
        return time.monotonic() - began

    def one(self, *, is_first: bool = False) -> dict[str, float]:
        """Return the seconds from a row to its container, to its worker's report, and to its agent."""
        # The very first builds the image, without which there are no spares.
        if settings.WORKERS_WARM_POOL and not is_first:
            self._until(self._has_spare)
        began = _now()
        worker_id = self._ask_for_turn()
        try:
            ready = self._until(partial(self._is_ready, worker_id)) - began
            agent = self._until_agent(worker_id) - began
            container = self._container_started(worker_id) - began
            self._bare_command = _bare_command(self._inspect(worker_id))
        finally:
            self._end([worker_id])
        return {"container": container, "ready": ready, "agent": agent}

    def burst(self, count: int) -> float:
        """Return the seconds until so many workers, asked for at once, were ready; none may fail."""
        began = _now()
        workers = [self._ask_for_worker(f"bench-{uuid4()}") for _ in range(count)]
        try:
            for worker_id in workers:
                self._until(partial(self._is_ready, worker_id))
            return _now() - began
        finally:
            self._end(workers)

    def _ask_for_worker(self, key: str) -> UUID:
        return services.request_worker(idempotency_key=key, request=self._request)

    def _ask_for_turn(self) -> UUID:
        key = f"bench-{uuid4()}"
        worker_id = self._ask_for_worker(key)
        services.send_turn(
            idempotency_key=key, worker_id=worker_id, prompt=_PROMPT, timeout_seconds=_TURN_SECONDS
        )
        return worker_id

    def _has_spare(self) -> bool:
        """Tell whether a spare container has had the time to load what it needs."""
        labels = [f"codegen.installation={settings.WORKERS_INSTALLATION}", "codegen.pool"]
        found = self._client.api.containers(filters={"label": labels})
        spares = [spare for spare in found if spare["Names"][0].startswith("/pool-")]
        return any(time.time() - spare["Created"] > _LOADING_SECONDS for spare in spares)

    def _is_ready(self, worker_id: UUID) -> bool:
        outcome = selectors.get_worker_outcome(worker_id=worker_id)
        if outcome.is_final:
            raise RuntimeError(f"a worker is {outcome.status}: {outcome.failure}")
        return outcome.is_ready

    def _until(self, condition: Callable[[], bool]) -> float:
        deadline = _now() + _WAIT_SECONDS
        while not condition():
            if _now() > deadline:
                raise RuntimeError("a worker did not start in time")
            time.sleep(_POLL_SECONDS)
        return _now()

    def _until_agent(self, worker_id: UUID) -> float:
        """Return when the agent's process began."""
        first = psutil.Process(int(self._inspect(worker_id)["State"]["Pid"]))
        self._until(lambda: bool(_agents_below(first)))
        return min(_agents_below(first))

    def _container_started(self, worker_id: UUID) -> float:
        text = self._inspect(worker_id)["State"]["StartedAt"]
        return datetime.fromisoformat(text).timestamp() - time.time() + _now()

    def _inspect(self, worker_id: UUID) -> dict[str, Any]:
        return dict(self._client.api.inspect_container(f"worker-{worker_id}"))

    def _end(self, workers: Sequence[UUID]) -> None:
        for worker_id in workers:
            services.cancel_worker(worker_id=worker_id)
        for worker_id in workers:
            self._until(partial(_is_removed, worker_id))


def _now() -> float:
    """Return the seconds since the machine started: the clock by which the kernel dates processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _is_removed(worker_id: UUID) -> bool:
    return selectors.get_worker_outcome(worker_id=worker_id).removed


def _agents_below(first: psutil.Process) -> list[float]:
    begins = []
    for child in first.children():
        with suppress(psutil.Error, OSError):  # a git of the wrapper, gone already
            if _AGENT in child.cmdline():
                fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
                begins.append(int(fields[19]) / _HERTZ)
    return begins


def _builds() -> int:
    """Return how often an image was built."""
    return sum(WorkerImage.objects.values_list("attempts", flat=True))


def _bare_command(found: dict[str, Any]) -> list[str]:
    """Return `docker run` with what a worker's container has."""
    host = found["HostConfig"]
    flags = {
        "--network": host["NetworkMode"],
        "--user": found["Config"]["User"],
        "--memory": str(host["Memory"]),
        "--memory-swap": str(host["MemorySwap"]),
        "--cpus": f"{host['NanoCpus'] / 1e9:g}",
        "--pids-limit": str(host["PidsLimit"]),
        "--cap-drop": "ALL",
        "--security-opt": "no-new-privileges",
        "--tmpfs": "/tmp",
        "--entrypoint": "",
    }
    words = [word for flag in flags.items() for word in flag]
    volumes = [word for mount in found["Mounts"] for word in ("--volume", mount["Destination"])]
    return ["docker", "run", "--rm", "--read-only", *words, *volumes, found["Image"]]
