"""How many entries a second one consumer takes in (bars: 2,000/s, and 40 % of the bare batched insert)."""

import json
import os
import subprocess
import sys

_BAR_RESULTS_PER_SECOND = 2_000.0
_BAR_SHARE = 0.4
_ENTRIES = "5000"


def measure() -> dict[str, dict[str, object]]:
    """Run the measurement inside a test session, which has the servers it needs."""
    # pytest keeps every log line in several places; a consumer writes it once.
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:logging",
        "tests/apps/workers/test_bench.py",
    ]
    environment = {**os.environ, "BENCH_INGEST_ENTRIES": _ENTRIES}
    printed = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout
    line = next(line for line in printed.splitlines() if "ingest {" in line)
    figures = json.loads(line[line.index("{") : line.rindex("}") + 1])
    bare = figures["bare"]["entries_per_second"]
    return {
        "ingest: bare batched insert": {"value": bare, "unit": "1/s"},
        "ingest: whole turns, against the bare insert": {
            "value": figures["turns"]["entries_per_second"],
            "unit": "1/s",
            "baseline": bare,
            "at_least": _BAR_SHARE * bare,
        },
        "ingest: results alone, against the bar": {
            "value": figures["results"]["entries_per_second"],
            "unit": "1/s",
            "at_least": _BAR_RESULTS_PER_SECOND,
        },
    }
