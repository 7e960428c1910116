"""Run every test: the journeys beside all the others, because the journeys mostly wait."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "-rs")


def main() -> int:
    """Run both, print the journeys' report after the other one, and return 1 if either failed."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as report:
        journeys = subprocess.Popen(
            [*PYTEST, "tests/journeys"], cwd=ROOT, stdout=report, stderr=subprocess.STDOUT
        )
        try:
            others = subprocess.run([*PYTEST, "--ignore", "tests/journeys", "tests"], cwd=ROOT).returncode
            journeys.wait()
        finally:
            journeys.terminate()
            journeys.wait()
        report.seek(0)
        print(f"\n--- journeys\n{report.read()}", flush=True)
    print(f"all tests: {time.monotonic() - began:.0f} s")
    return 1 if others or journeys.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
