"""Runs as pictures: reads what the drawing needs, in one query."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from apps.graph.flows import FLOWS
from apps.graph.models import Run, Step
from apps.graph.picture import Picture, Visited, draw

MAX_STEPS_DRAWN = 2_000


def draw_runs(runs: Iterable[Run]) -> list[Picture]:
    """Draw some runs in the given order; one of a flow that we do not have any more is left out."""
    known = [run for run in runs if run.flow in FLOWS]
    visited: dict[UUID, list[Visited]] = defaultdict(list)
    steps = Step.objects.filter(run__in=known).order_by("run", "seq")
    for step in steps.only("run_id", "node", "data")[:MAX_STEPS_DRAWN]:
        visited[step.run_id].append(Visited(node=step.node, verdict=str(step.data.get("verdict", "ok"))))
    return [draw(FLOWS[run.flow], visited=visited[run.pk], status=run.status) for run in known]


def latest_runs(task_ids: Iterable[UUID]) -> list[Run]:
    """Return the latest run of each of some tasks, the earliest begun first."""
    runs = Run.objects.filter(task__in=task_ids).order_by("task", "-created_at").distinct("task")
    return sorted(runs, key=lambda run: run.created_at)
