"""Reads what a system stored of a dead worker's work, with that system's own settings.

One worker's id a line comes in, one JSON object goes out: the notes and commits of a restored workspace.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from orchestrator.env import ROOT
from orchestrator.stack import Stack
from worker_image.rehearsal.notes import FILE


class Surveyor:
    """The other end: starts the process and asks it."""

    def __init__(self, stack: Stack) -> None:
        environment = {**stack.child_env(), "DJANGO_SETTINGS_MODULE": "orchestrator.settings.base"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.journeys.surveyor"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def look(self, worker_id: str) -> dict[str, Any]:
        """Return ``notes`` and ``commits`` of what is stored of a worker's work, empty if nothing is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(worker_id + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def _serve() -> None:
    import django

    django.setup()
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as directory:
            print(json.dumps(_restore(line.strip(), Path(directory))), flush=True)


def _restore(worker_id: str, directory: Path) -> dict[str, Any]:
    from apps.workers import restore, selectors

    worker = selectors.get_worker(UUID(worker_id))
    try:
        restore.restore(worker, directory)
    except restore.NothingStored:
        return {"notes": "", "commits": []}
    notes = directory / FILE
    argv = ["git", "-C", str(directory), "rev-list", "HEAD"]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}
    listed = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    return {"notes": notes.read_text() if notes.exists() else "", "commits": listed.stdout.split()}


if __name__ == "__main__":
    _serve()
