"""Where the seconds of the main job go, by the card's own accounting (the bar: 5 s outside of the work)."""

import statistics
import time

from tests.journeys.world import running

_SENTENCE = "an inventory of books with title, author and year"
_RUNS = 3
_BAR_OVERHEAD_SECONDS = 5.0
#: With the first prototype of the stack.
_READY_BEFORE_SECONDS = 10.6


def measure() -> dict[str, dict[str, object]]:
    """Do the job once to warm up and three times to measure; medians."""
    began = time.monotonic()
    with running() as world:
        ready = time.monotonic() - began
        cards = [world.wait(world.begin(_SENTENCE)["id"], seconds=180) for _ in range(_RUNS + 1)][1:]
    failed = [card["failure"] for card in cards if card["status"] != "completed"]
    if failed:
        raise RuntimeError(f"a run failed: {failed[0]}")
    found: dict[str, dict[str, object]] = {
        "stack ready": {"value": ready, "unit": "s", "baseline": _READY_BEFORE_SECONDS},
        "main job, sentence to URL": {
            "value": statistics.median(card["elapsed_seconds"] for card in cards),
            "unit": "s",
        },
    }
    for part in cards[0]["accounting"]:
        found[f"main job: {part}"] = {
            "value": statistics.median(card["accounting"][part] for card in cards),
            "unit": "s",
            "at_most": _BAR_OVERHEAD_SECONDS if part == "overhead" else None,
        }
    return found
