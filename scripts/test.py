"""Run every test, in four runs of pytest, two at a time.

The two lanes are about as long as each other, so that both cores have work to the end. What the tests need of
Docker is prepared meanwhile (docker_engine.py); where that is impossible its tests are skipped, each run says
how many and why.
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

APPS = ("the apps", "-m", "not docker", "tests/apps")
DOCKER = ("with Docker", "-m", "docker", "tests")
JOURNEYS = ("journeys", "-m", "not docker", "tests/journeys")
OTHERS = ("the others", "-m", "not docker", "--ignore", "tests/apps", "--ignore", "tests/journeys", "tests")


class Lane:
    """Parts of the tests, one after the other; what they say goes to one place."""

    def __init__(self, report: IO[str] | None = None) -> None:
        """Prepare a lane that reports to a file, or as it happens."""
        self._report = report
        self._running: subprocess.Popen[str] | None = None
        self._is_over = threading.Event()
        self.failed = False

    def run(self, title: str, *arguments: str, **environment: str) -> None:
        """Run one part, unless the lane was ended."""
        if self._is_over.is_set():
            return
        print(f"\n--- {title}", file=self._report, flush=True)
        self._running = subprocess.Popen(
            [*PYTEST, *arguments],
            cwd=ROOT,
            env=_environment() | environment,
            stdout=self._report,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.failed |= self._running.wait() != 0

    def end(self) -> None:
        """Stop what runs, and begin nothing more."""
        self._is_over.set()
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()


def _environment() -> dict[str, str]:
    # Hundreds of processes import the same sources; not each of them has to compile them.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _docker(engine: "subprocess.Popen[str]") -> dict[str, str]:
    """Wait for what the tests need of Docker, and return the environment that tells them."""
    prepared, _ = engine.communicate()
    *lines, last = prepared.splitlines() or [""]
    if engine.returncode == 0:
        environment: dict[str, str] = json.loads(last)
    else:
        lines.append(last)
        environment = {"DOCKER_TESTS_SKIPPED": next(filter(REASON.match, lines), "see above")}
    print("\n".join(lines), flush=True)
    return environment


def _beside(lane: Lane) -> None:
    lane.run(*JOURNEYS)
    lane.run(*OTHERS)


def main() -> int:
    """Run all four, print the reports of the lane beside after the others; 1 if anything failed."""
    began = time.monotonic()
    engine = subprocess.Popen([*ENGINE, "prepare"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryFile("w+") as report:
        first, second = Lane(), Lane(report)
        beside = threading.Thread(target=_beside, args=[second])
        beside.start()
        try:
            first.run(*APPS)
            first.run(*DOCKER, **_docker(engine))
            beside.join()
        finally:
            for lane in (first, second):
                lane.end()
            if engine.poll() is None:
                engine.terminate()
            beside.join()
            subprocess.run([*ENGINE, "stop"], cwd=ROOT)
        report.seek(0)
        print(report.read(), flush=True)
    print(f"all tests: {time.monotonic() - began:.0f} s")
    return 1 if first.failed or second.failed else 0


if __name__ == "__main__":
    sys.exit(main())
