"""Run every ``tests/bench/bench_*.py``, print one table, write ``var/bench/latest.json``.

Such a module has ``measure() -> dict[str, dict]``: name → {value, unit, baseline}; the ratio is added here.
``baseline`` is the figure to compare with, or None.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure everything and return the exit code: 1 if a benchmark could not run."""
    sys.path.insert(0, str(ROOT))
    results: dict[str, dict[str, Any]] = {}
    failed = False
    for path in sorted((ROOT / "tests" / "bench").glob("bench_*.py")):
        try:
            results |= importlib.import_module(f"tests.bench.{path.stem}").measure()
        except Exception as error:
            print(f"{path.stem} could not run: {error}", file=sys.stderr)
            failed = True
    for name, result in results.items():
        baseline = result.get("baseline")
        result["ratio"] = round(result["value"] / baseline, 3) if baseline else None
        shown = "" if baseline is None else f"baseline {baseline:g}  ratio {result['ratio']:g}"
        print(f"  {name:<44} {result['value']:>10.3f} {result['unit']:<8} {shown}")
    envfile = importlib.import_module("orchestrator.envfile")
    target: Path = envfile.find_var_dir(os.environ, ROOT) / "bench" / "latest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=1, sort_keys=True))
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
