"""What pytest-celery takes for containers: the tests' own servers, and processes of the real Celery."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

READY_SECONDS = 60.0
STOP_SECONDS = 20.0


class Server:
    """A server that runs already; nothing to start and nothing to stop."""

    status = "running"

    def __init__(self, name: str, url: str) -> None:
        self.name = self.id = name
        self.celeryconfig = {"url": url, "host_url": url}

    def ready(self) -> bool:
        return True

    def logs(self) -> str:
        return ""

    def reload(self) -> None:
        """Ask nobody: it is not ours to watch."""

    def teardown(self) -> None:
        """Leave it running: the whole session uses it."""


class CeleryProcess:
    """One process of the real `celery`, as the stack starts it, on the tests' database and broker."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = self.id = name
        self.celeryconfig: dict[str, Any] = {}
        self._arguments = arguments
        self._log = Path(settings.VAR_DIR) / "run" / f"{name}.log"
        self._ready_file = Path(settings.VAR_DIR) / "run" / "ready" / name
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)
        self.start()

    def start(self) -> None:
        self._ready_file.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "orchestrator.celery", *self._arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **_settings_of_the_tests(), "STACK_NAME": self.name},
            )

    @property
    def status(self) -> str:
        return "exited" if self._process.poll() is not None else "running"

    def ready(self) -> bool:
        """Wait until it consumes its queues; beat has none and is ready at once."""
        until = time.monotonic() + READY_SECONDS
        while self._arguments[0] == "worker" and not self._ready_file.exists():
            assert self.status == "running", self.logs()
            assert time.monotonic() < until, self.logs()
            time.sleep(0.05)
        return True

    def logs(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self, signal: str | int = "SIGKILL") -> None:  # pytest-celery's name for it
        """Send a signal to the process; SIGKILL takes its pool with it, as the death of a machine does."""
        number = _number(signal)
        send = os.killpg if number == _number("SIGKILL") else os.kill
        send(self._process.pid, number)
        self._process.wait(STOP_SECONDS)

    def reload(self) -> None:
        """Nothing is cached here: the status is always looked at."""

    def restart(self, timeout: float = STOP_SECONDS) -> None:
        self.teardown()
        self.start()
        self.ready()

    def teardown(self) -> None:
        if self.status == "running":
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()


def _number(name: str | int) -> int:
    return name if isinstance(name, int) else int(signal.Signals[name])


def _settings_of_the_tests() -> dict[str, str]:
    server, _, _ = settings.DATABASE_URL.rpartition("/")
    return {
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings.base",
        "DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}",
        # As in the stack: a stop puts a running Celery task back into its queue.
        "REMAP_SIGTERM": "SIGQUIT",
    }
