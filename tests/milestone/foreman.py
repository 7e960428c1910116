"""Asks a running system for workers and turns, as its flows do: a process of that system's own settings.

One JSON object a line comes in, one goes out. No test can do this in its own process: that one's settings are
another installation's.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from orchestrator.env import ROOT
from orchestrator.stack import Stack


@dataclass
class Foreman:
    """The other end: starts the process and talks to it."""

    stack: Stack
    _process: "subprocess.Popen[str]" = field(init=False)
    _log: Path = field(init=False)

    def __post_init__(self) -> None:
        environment = {**self.stack.child_env(), "DJANGO_SETTINGS_MODULE": "orchestrator.settings.base"}
        self._log = Path(self.stack.var_dir) / "run" / "logs" / "foreman.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.milestone.foreman"],
                cwd=ROOT,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def request_worker(self, person: str, **request: Any) -> str:
        """Request a Product Owner of a person; returns the worker's id."""
        return str(self._ask("request_worker", person=person, **request))

    def send_turn(self, worker_id: str, prompt: str, *, timeout_seconds: int = 120) -> str:
        """Give a worker a prompt; returns the turn's id."""
        return str(self._ask("send_turn", worker_id=worker_id, prompt=prompt, seconds=timeout_seconds))

    def cancel_worker(self, worker_id: str) -> None:
        """Tell a worker to stop."""
        self._ask("cancel_worker", worker_id=worker_id)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, verb: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"verb": verb, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-2_000:]
        answer = json.loads(line)
        if "error" in answer:
            raise ForemanRefused(answer["error"], answer["code"])
        return answer["value"]


class ForemanRefused(Exception):
    """The system said no; the second argument is the error's code."""


def _serve() -> None:
    import django

    django.setup()
    from apps.errors import OrchestratorError

    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": _VERBS[request.pop("verb")](**request)}
        except OrchestratorError as error:
            answer = {"error": str(error), "code": error.code}
        print(json.dumps(answer), flush=True)


def _request_worker(person: str, **fields: Any) -> str:
    from django.contrib.auth import get_user_model

    from apps.workers.requests import WorkerRequest
    from apps.workers.services import request_worker

    owner, _ = get_user_model().objects.get_or_create(username=person)
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    request = WorkerRequest(**{"worker_type": "po", "profile": "PRODUCT_OWNER", **fields}, owner_id=owner.pk)
    return str(request_worker(idempotency_key=uuid4().hex, request=request))


def _send_turn(worker_id: str, prompt: str, seconds: int) -> str:
    from apps.workers.services import send_turn

    key = uuid4().hex
    return str(
        send_turn(idempotency_key=key, worker_id=UUID(worker_id), prompt=prompt, timeout_seconds=seconds)
    )


def _cancel_worker(worker_id: str) -> None:
    from apps.workers.services import cancel_worker

    cancel_worker(worker_id=UUID(worker_id))


_VERBS = {"request_worker": _request_worker, "send_turn": _send_turn, "cancel_worker": _cancel_worker}

if __name__ == "__main__":
    _serve()
