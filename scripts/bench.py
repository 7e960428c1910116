"""Run ``tests/bench/bench_*.py``, print one table, keep the figures in ``var/bench/latest.json``.

Such a module has ``measure() -> dict[str, dict]``: name → {value, unit} and, where there is one, a bar
(``at_most`` or ``at_least``) and a ``baseline`` to compare with. A bar that is missed fails the run.
``python scripts/bench.py lists acknowledgement`` runs some of them.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Result = dict[str, Any]
Measure = Callable[[], Mapping[str, Mapping[str, Any]]]


def main(names: list[str]) -> int:
    """Measure, and return the exit code: 1 if a bar was missed or a benchmark could not run.

    Args:
        names: of the benchmarks; all of them if there are none.

    """
    sys.path.insert(0, str(ROOT))
    known = [path.stem.removeprefix("bench_") for path in sorted((ROOT / "tests/bench").glob("bench_*.py"))]
    if unknown := set(names) - set(known):
        print(f"there is no benchmark {', '.join(sorted(unknown))}, but: {', '.join(known)}", file=sys.stderr)
        return 2
    results, is_good = run({name: _measure_of(name) for name in names or known})
    _keep(results, is_all=not names)
    return 0 if is_good else 1


def run(benches: Mapping[str, Measure]) -> tuple[dict[str, Result], bool]:
    """Run benchmarks and print what they found.

    Args:
        benches: name → what measures.

    Returns:
        Name of a figure → the figure with its verdict, and whether every bar was met.

    """
    results: dict[str, Result] = {}
    broken: list[str] = []
    for name, measure in benches.items():
        try:
            found = measure()
        except Exception as error:
            print(f"{name} could not run: {error}", file=sys.stderr)
            broken.append(name)
            continue
        for figure, values in found.items():
            results[figure] = judged(values)
            print(line_of(figure, results[figure]), flush=True)
    missed = [figure for figure, result in results.items() if result["verdict"] == "missed"]
    bars = sum(bool(result["verdict"]) for result in results.values())
    print(f"{bars - len(missed)} of {bars} bars met" + "".join(f"\n  missed: {name}" for name in missed))
    return results, bool(results) and not missed and not broken


def judged(values: Mapping[str, Any]) -> Result:
    """Add to a figure its ratio to the baseline and, where there is a bar, whether it was met."""
    value, baseline = values["value"], values.get("baseline")
    most, least = values.get("at_most"), values.get("at_least")
    verdict = ""
    if most is not None or least is not None:
        is_met = (most is None or value <= most) and (least is None or value >= least)
        verdict = "met" if is_met else "missed"
    ratio = round(value / baseline, 3) if baseline else None
    return {"baseline": None, **values, "ratio": ratio, "verdict": verdict}


def line_of(name: str, result: Mapping[str, Any]) -> str:
    """Return a figure as a line of the table."""
    words = [f"  {name:<58} {result['value']:>10.3f} {result['unit']:<4}"]
    for bound, sign in (("at_most", "<="), ("at_least", ">=")):
        if result.get(bound) is not None:
            words.append(f"bar {sign} {result[bound]:g}: {result['verdict']}")
    if result["baseline"] is not None:
        words.append(f"baseline {result['baseline']:g}, ratio {result['ratio']:g}")
    return "  ".join(words).rstrip()


def _measure_of(name: str) -> Measure:
    def measure() -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = importlib.import_module(
            f"tests.bench.bench_{name}"
        ).measure()
        return found

    return measure


def _keep(results: Mapping[str, Result], *, is_all: bool) -> None:
    """Write the figures; those of some benchmarks take their places among the earlier ones."""
    envfile = importlib.import_module("orchestrator.envfile")
    target: Path = envfile.find_var_dir(os.environ, ROOT) / "bench" / "latest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    before = {} if is_all or not target.exists() else json.loads(target.read_text())
    target.write_text(json.dumps({**before, **results}, indent=1, sort_keys=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
