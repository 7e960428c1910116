"""The public record of the nodes a run visited."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from apps.graph.models import Run, Step
from apps.graph.state import RunState


@dataclass(slots=True)
class VisitLog:
    """Writes each ended visit once: its number comes from the checkpointed state.

    It is written by the visit itself, so a visit whose record could not be
    written has not ended either, and is repeated.
    """

    run: Run
    since: datetime | None = None  # when the visit before the present one ended, once there was one

    def write(self, node: str, update: RunState) -> None:
        """Record the end of a visit.

        Args:
            node: the name of the node.
            update: what it changes in the state, with the visit's number.

        """
        now = timezone.now()
        failure = update.get("failure") or {}
        step = Step(
            run=self.run,
            seq=update["visit"],
            node=node,
            waiting_for="" if self.since else self.run.waiting_for,
            data={"verdict": update["verdict"], **({"code": failure["code"]} if failure else {})},
            started_at=self.since or self._previous_end(update["visit"]),
            finished_at=now,
        )
        Step.objects.bulk_create([step], ignore_conflicts=True)
        self.since = now

    def _previous_end(self, visit: int) -> datetime:
        previous = Step.objects.filter(run=self.run, seq__lt=visit).order_by("-seq").first()
        return previous.finished_at if previous else self.run.created_at
