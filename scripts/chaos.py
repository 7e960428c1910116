"""Kill processes at every stage, workers in containers at random moments, and the bot in the middle of chats.

Meanwhile Telegram misbehaves in the third part. Prints the three lists and keeps them in
var/chaos/latest.json. ``python -m scripts.chaos processes``, ``containers`` or ``chats`` does one of them and
leaves the others there as they were. CHAOS_KILLS=N kills N times instead of 200 in the second, CHAOS_RUNS=N
does N runs instead of 200 in the third.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
JOURNEYS = {
    "processes": ("tests/journeys/test_kills.py", "CHAOS_FILE"),
    "containers": ("tests/journeys/test_container_kills.py", "CHAOS_CONTAINERS_FILE"),
    "chats": ("tests/journeys/test_chat_faults.py", "CHAOS_CHATS_FILE"),
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
        # Uncaptured: it tells how far it is.
        argv = [sys.executable, "-m", "pytest", "-q", "-rs", "-s", journey]
        has_failed |= subprocess.run(argv, cwd=ROOT, env=environment).returncode != 0
        if part.exists():
            found[name] = json.loads(part.read_text())
        else:
            print(f"{name}: nothing was done; pytest says above why")
    keep(found, place / "latest.json", is_all=not names)
    _print_processes(found.get("processes") or [])
    if "containers" in found:
        _print_containers(found["containers"])
    if "chats" in found:
        _print_chats(found["chats"])
    return 1 if has_failed else 0


def keep(found: dict[str, Any], target: Path, *, is_all: bool) -> None:
    """Write what was found; some of the parts take their places among the earlier ones."""
    before = {} if is_all or not target.exists() else json.loads(target.read_text())
    target.write_text(json.dumps({**before, **found}, indent=1))


def _print_processes(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        place = "landed" if row["landed"] else "too late"
        words = f"{place:<9} {row['status']:<10} ended {row['seconds']:>5.1f} s after the process was back"
        print(f"  {row['kind']:<11} at {row['stage']:<17} {words}")


def _print_containers(found: dict[str, Any]) -> None:
    kills, workers = found["kills"], found["workers"]
    print(f"\n{len(kills)} kills of workers in containers, of {found['planned']} planned:")
    for titles in _TITLES:
        print(_columns(titles))
    for kind in sorted({kill["kind"] for kill in kills}):
        numbers = {number for number, kill in enumerate(kills) if kill["kind"] == kind}
        print(_line(kind, len(numbers), [one for one in workers if _is_struck(one, numbers)], numbers))
    print(_line("all", len(kills), workers, None))
    for name, names in found["left"].items():
        print(f"  {name} left behind: {len(names)}{' ' if names else ''}{', '.join(names)}")
    print(f"  workers that ended or were removed more or less often than once: {len(found['repeated'])}")
    ends = [task["status"] for task in found["tasks"]]
    print(f"  tasks: {', '.join(f'{ends.count(end)} {end}' for end in sorted(set(ends)))}")
    print(f"  the machine's load meanwhile: at most {max((kill['load'] for kill in kills), default=0)}")
    for worker in workers:
        if worker["problems"]:
            print(f"  WRONG {worker['worker']}: {'; '.join(worker['problems'])}")


def _print_chats(found: dict[str, Any]) -> None:
    runs = [run for run in found["runs"] if run["status"]]
    print(f"\n{len(runs)} runs of the chat, of {found['planned']} planned, in {found['seconds']:.0f} s:")
    print(f"  {'begun by':<10}{'runs':>6}{'median':>10}{'longest':>10}  ends")
    for kind in [*sorted({run["kind"] for run in runs}), ""]:
        mine = [run for run in runs if kind in ("", run["kind"])]
        seconds = [run["seconds"] for run in mine] or [0.0]
        ends = [run["status"] for run in mine]
        told = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
        times = "".join(f"{_seconds(value):>10}" for value in (statistics.median(seconds), max(seconds)))
        print(f"  {kind or 'all':<10}{len(mine):>6}{times}  {told}")
    print(f"  {'what went wrong':<26}{'planned':>9}{'happened':>9}")
    for fault in found["faults"]:
        print(f"  {fault['kind']:<26}{fault['planned']:>9}{fault['happened']:>9}")
    taps = [tap for run in found["runs"] for tap in run["taps"]]
    refused = sum(tap["is_alert"] for tap in taps)
    print(f"  taps: {len(taps)}, of which {refused} were refused; buttons that acted: {found['buttons']}")
    print(f"  messages: {found['messages']}, repeated with a mark: {found['repeated']},")
    print(f"  cards that arrived without anybody's knowledge, and were shown anew: {found['orphans']},")
    print(f"  answers to taps and the like whose moment had passed: {found['late']}")
    print(f"  wrong: {len(found['problems'])}")
    for problem in found["problems"]:
        print(f"  WRONG {problem}")


_WIDTHS = (12, 6, 9, 7, 12, 12, 9, 9)
_TITLES = (
    ("kind", "kills", "workers", "right", "longest to", "edits lost", "", "commits"),
    ("", "", "struck", "end", "the end", "median", "most", "lost"),
)


def _columns(words: Iterable[object]) -> str:
    first, *others = zip(words, _WIDTHS, strict=True)
    return f"  {first[0]!s:<{first[1]}}" + "".join(f"{word!s:>{width}}" for word, width in others)


def _is_struck(worker: dict[str, Any], numbers: set[int]) -> bool:
    return any(strike["kill"] in numbers for strike in worker["strikes"])


def _line(kind: str, count: int, struck: list[dict[str, Any]], numbers: set[int] | None) -> str:
    """Return a line of the table; times and losses are those of the workers that these kills ended."""
    right = sum(not worker["problems"] for worker in struck)
    ended = [
        one for one in struck if one["cause"] is not None and (numbers is None or one["cause"] in numbers)
    ]
    longest = max((one["end_seconds"] for one in ended), default=None)
    lost = [one["lost_seconds"] for one in ended if "lost_seconds" in one]
    # A commit is not lost to a Celery process either, which ends no worker.
    counted = struck if not ended or numbers is None else ended
    commits = sum(one.get("lost_commits", 0) for one in counted)
    made = sum(one.get("commits", 0) for one in counted)
    median, most = (statistics.median(lost), max(lost)) if lost else (None, None)
    times = map(_seconds, (longest, median, most))
    return _columns((kind, count, len(struck), right, *times, f"{commits}/{made}"))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
