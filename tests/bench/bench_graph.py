"""How many steps of a flow one process drives in a second (the bars: 150/s, p95 50 ms)."""

import json
import subprocess
import sys

_BAR_STEPS_PER_SECOND = 150.0
_BAR_P95_MS = 50.0


def measure() -> dict[str, dict[str, object]]:
    """Run the measurement inside a test session, which has the database it needs."""
    argv = [sys.executable, "-m", "pytest", "-q", "-s", "tests/apps/graph/test_bench.py"]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, object]] = {}
    for name in ("chain", "engineering"):
        line = next(line for line in printed.splitlines() if f"{name} {{" in line)
        figures = json.loads(line[line.index("{") : line.rindex("}") + 1])
        found[f"graph, {name}: steps"] = {
            "value": figures["steps_per_second"],
            "unit": "1/s",
            "at_least": _BAR_STEPS_PER_SECOND,
        }
        found[f"graph, {name}: p95 of an advance"] = {
            "value": figures["p95_ms"],
            "unit": "ms",
            "at_most": _BAR_P95_MS,
        }
    return found
