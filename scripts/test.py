"""Run every test: the journeys beside all the others, because they mostly wait; then those that need Docker.

Three runs of pytest, two at a time. What the tests need of Docker is prepared meanwhile (docker_engine.py);
where that is impossible its tests are skipped, each run says how many and why.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "-rs")
REASON = re.compile("docker: the tests .* skipped: ")
ENGINE = (sys.executable, "-m", "scripts.docker_engine")


class Background:
    """The journeys, then the tests that need Docker, with their reports kept for the end."""

    def __init__(self, report: IO[str]) -> None:
        self._report = report
        self._engine = subprocess.Popen([*ENGINE, "prepare"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._running: subprocess.Popen[str] | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failed = False
        self._thread.start()

    def _run(self) -> None:
        self._pytest("journeys", "-m", "not docker", "tests/journeys")
        prepared, _ = self._engine.communicate()
        *lines, last = prepared.splitlines() or [""]
        if self._engine.returncode == 0:
            environment = json.loads(last)
        else:
            lines.append(last)
            environment = {"DOCKER_TESTS_SKIPPED": next(filter(REASON.match, lines), "see above")}
        print("\n".join(lines), flush=True)
        self._pytest("with Docker", "-m", "docker", "tests", **environment)

    def _pytest(self, title: str, *arguments: str, **environment: str) -> None:
        if self._is_over.is_set():
            return
        self._report.write(f"\n--- {title}\n")
        self._report.flush()
        self._running = subprocess.Popen(
            [*PYTEST, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=self._report,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.failed |= self._running.wait() != 0

    def wait(self) -> None:
        """Wait for all of it."""
        self._thread.join()

    def end(self) -> None:
        """Stop what still runs, and the engine if it was started for us."""
        self._is_over.set()
        for process in (self._running, self._engine):
            if process is not None and process.poll() is None:
                process.terminate()
        self._thread.join()
        subprocess.run([*ENGINE, "stop"], cwd=ROOT)


def main() -> int:
    """Run all three, print the reports of the background after the other one; 1 if anything failed."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as report:
        background = Background(report)
        try:
            others = [*PYTEST, "-m", "not docker", "--ignore", "tests/journeys", "tests"]
            failed = subprocess.run(others, cwd=ROOT).returncode != 0
            background.wait()
        finally:
            background.end()
        report.seek(0)
        print(report.read(), flush=True)
    print(f"all tests: {time.monotonic() - began:.0f} s")
    return 1 if failed or background.failed else 0


if __name__ == "__main__":
    sys.exit(main())
