"""Kill every kind of process at every stage of a run, and workers in containers at random moments.

Prints both lists and keeps them in var/chaos/latest.json. ``python -m scripts.chaos processes`` or
``containers`` does one of the two; CHAOS_KILLS=N kills N times instead of 200 in the second.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
JOURNEYS = {
    "processes": ("tests/journeys/test_kills.py", "CHAOS_FILE"),
    "containers": ("tests/journeys/test_container_kills.py", "CHAOS_CONTAINERS_FILE"),
}


def main(names: list[str]) -> int:
    """Run the journeys and return 1 if one of them failed."""
    place = Path(os.environ.get("VAR_DIR") or ROOT / "var") / "chaos"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    has_failed = False
    for name, (journey, variable) in JOURNEYS.items():
        if names and name not in names:
            continue
        part = place / f"{name}.json"
        part.unlink(missing_ok=True)
        environment = os.environ | {"CHAOS": "all", variable: str(part)}
        argv = [sys.executable, "-m", "pytest", "-q", "-rs", journey]
        has_failed |= subprocess.run(argv, cwd=ROOT, env=environment).returncode != 0
        if part.exists():
            found[name] = json.loads(part.read_text())
        else:
            print(f"{name}: no kill was made; pytest says above why")
    (place / "latest.json").write_text(json.dumps(found, indent=1))
    _print_processes(found.get("processes") or [])
    if "containers" in found:
        _print_containers(found["containers"])
    return 1 if has_failed else 0


def _print_processes(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        place = "landed" if row["landed"] else "too late"
        words = f"{place:<9} {row['status']:<10} ended {row['seconds']:>5.1f} s after the process was back"
        print(f"  {row['kind']:<11} at {row['stage']:<17} {words}")


def _print_containers(found: dict[str, Any]) -> None:
    kills, workers = found["kills"], found["workers"]
    print(f"  {len(kills)} of {found['planned']} planned kills of workers in containers:")
    for kind in sorted({kill["kind"] for kill in kills}):
        struck = [kill for kill in kills if kill["kind"] == kind]
        ends = [f"{kill['status']} {kill['code'] or ''}".strip() for kill in struck if kill.get("status")]
        words = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
        alive = sum(kill.get("alive", 0) for kill in struck)
        print(f"  {kind:<11} {len(struck):>4} kills: {words or f'{alive} workers were at work'}")
    lost = [worker["lost_seconds"] for worker in workers if "lost_seconds" in worker]
    if lost:
        median = statistics.median(lost)
        print(f"  edits lost of {len(lost)} killed workers: median {median:.1f} s, most {max(lost):.1f} s")
    commits = sum(worker.get("lost_commits", 0) for worker in workers)
    made = sum(worker.get("commits", 0) for worker in workers)
    print(f"  commits lost: {commits} of {made}")
    wrong = [worker for worker in workers if worker["problems"]]
    print(f"  workers that ended wrongly: {len(wrong)} of {len(workers)}")
    for worker in wrong:
        print(f"    {worker['worker']}: {'; '.join(worker['problems'])}")
    ends = [task["status"] for task in found["tasks"]]
    print(f"  tasks: {', '.join(f'{ends.count(end)} {end}' for end in sorted(set(ends)))}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
