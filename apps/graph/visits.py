"""The public record of the nodes a run visited."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from apps.graph.models import Run, Step
from apps.graph.state import RunState, Verdict


@dataclass(slots=True)
class VisitLog:
    """Writes each ended visit once: its number comes from the checkpointed state.

    It is written by the visit itself, so a visit whose record could not be
    written has not ended either, and is repeated.
    """

    run: Run
    is_first: bool = True  # in this drive; only the first node can have waited

    def write(self, node: str, state: RunState, answer: RunState) -> RunState:
        """Record the end of a visit and return the complete update of the state.

        Args:
            node: the name of the node.
            state: before the visit.
            answer: what the node changes in it.

        """
        now = timezone.now()
        ended: RunState = {"visit": state["visit"] + 1, "since": now.isoformat()}
        update: RunState = {"verdict": Verdict.OK, **answer, **ended}
        failure = update.get("failure") or {}
        step = Step(
            run=self.run,
            seq=update["visit"],
            node=node,
            waiting_for=self.run.waiting_for if self.is_first else "",
            data={"verdict": update["verdict"], **({"code": failure["code"]} if failure else {})},
            started_at=datetime.fromisoformat(state["since"]),
            finished_at=now,
        )
        Step.objects.bulk_create([step], ignore_conflicts=True)
        self.is_first = False
        return update
