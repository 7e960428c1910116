"""What a step tells to look at next."""

from dataclasses import dataclass
from uuid import UUID

from apps.workers.models import Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowUp:
    """A row that is worth a step now."""

    kind: str
    """``worker``, ``turn``, ``verification`` or ``image``."""
    id: UUID


FollowUps = list[FollowUp]


def again(worker: Worker) -> FollowUp:
    """Return a further step for the same worker."""
    return FollowUp(kind="worker", id=worker.pk)
