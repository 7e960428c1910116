"""Facts from the lower apps become wake-ups of the runs that wait for them."""

from typing import Any
from uuid import UUID

from django.dispatch import Signal

from apps.enqueue import enqueue
from apps.graph import tasks
from apps.graph.models import UNFINISHED, Run
from apps.infra import signals as infra
from apps.projects import signals as projects
from apps.workers import signals as workers

#: signal, the id it carries, the kinds of waiting it may end.
HINTS: tuple[tuple[Signal, str, tuple[str, ...]], ...] = (
    (projects.project_changed, "project_id", ("project",)),
    (projects.merge_request_changed, "merge_request_id", ("change", "merge")),
    (workers.worker_changed, "worker_id", ("worker", "removal")),
    (workers.turn_changed, "turn_id", ("turn",)),
    (workers.turn_progressed, "turn_id", ("turn",)),
    (workers.verification_changed, "verification_id", ("verification",)),
    (projects.dispatch_changed, "dispatch_id", ("dispatch",)),
    (infra.deployment_changed, "deployment_id", ("deployment",)),
)


def connect() -> None:
    """Connect the receivers."""
    for signal, name, kinds in HINTS:
        signal.connect(_receiver(name, kinds), weak=False, dispatch_uid=f"graph.{name}.{kinds[0]}")


def wake(kinds: tuple[str, ...], row_id: UUID) -> int:
    """Enqueue the runs that wait for a row.

    Returns:
        How many there were.

    """
    waiting = Run.objects.filter(
        status__in=UNFINISHED, waiting_for__in=[f"{kind}:{row_id}" for kind in kinds]
    )
    run_ids = list(waiting.values_list("pk", flat=True))
    for run_id in run_ids:
        enqueue(tasks.advance_run, run_id=str(run_id))
    return len(run_ids)


def _receiver(name: str, kinds: tuple[str, ...]) -> Any:
    def receive(**payload: Any) -> None:
        wake(kinds, payload[name])

    return receive
