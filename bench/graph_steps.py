"""How many node visits a second one process drives, and how long an advance takes at a given rate.

The lower apps are played: between two advances the row a run waits for is moved
as their reconcilers would move it, outside the measured time. What is measured is
``executor.advance``: lock, claim, nodes with their effects and events, steps,
checkpoint, park. Needs a migrated database (``DATABASE_URL``) and a broker.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from apps.graph import executor
from apps.graph.models import Run, Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The figures of one measurement."""

    steps_per_second: float
    advances_per_second: float
    median_ms: float  # of one advance
    p95_ms: float
    steps: int


def measure(make_run: Callable[[], Run], move: Callable[[Run], None], *, runs: int = 20) -> Measured:
    """Drive whole runs one after the other.

    Args:
        make_run: creates a task and starts it.
        move: makes the row that a parked run waits for final.
        runs: how many; one more is driven before, to warm up.

    """
    _drive_to_end(make_run(), move)
    times: list[float] = []
    steps = 0
    for _ in range(runs):
        run = make_run()
        times += _drive_to_end(run, move)
        steps += Step.objects.filter(run=run).count()
    total = sum(times)
    milliseconds = sorted(1_000 * one for one in times)
    return Measured(
        steps_per_second=round(steps / total, 1),
        advances_per_second=round(len(times) / total, 1),
        median_ms=round(statistics.median(milliseconds), 1),
        p95_ms=round(milliseconds[int(len(milliseconds) * 0.95)], 1),
        steps=steps,
    )


def as_text(measured: Measured) -> str:
    """Return the figures as JSON."""
    return json.dumps(asdict(measured))


def _drive_to_end(run: Run, move: Callable[[Run], None]) -> list[float]:
    times = []
    while True:
        began = time.perf_counter()
        executor.advance(run_id=run.pk)
        times.append(time.perf_counter() - began)
        run.refresh_from_db()
        if run.status in Run.final_statuses():
            return times
        move(run)
