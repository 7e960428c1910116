"""A person's Product Owner: one at a time, whose conversation outlives the container it is led in."""

import logging
from datetime import timedelta
from typing import Final
from uuid import uuid4

from django.db.models import Max
from django.utils import timezone

from apps.errors import Unavailable
from apps.workers.models import UNFINISHED, DepartedOwner, Worker, WorkerStatus
from apps.workers.runtime.base import ContainerRuntime, RuntimeUnavailable
from worker_image.contract import PO_SESSION_TTL_SECONDS, WorkerType

logger = logging.getLogger(__name__)

_MOST_HOMES: Final = 100


class ProductOwnerLeaving(Unavailable):
    """The person's Product Owner is just ending; ask again in a moment."""

    code = "product_owner_leaving"


def find_live(owner_id: int) -> Worker | None:
    """Return the Product Owner that works for a person now.

    Raises:
        ProductOwnerLeaving: there is one, and it takes no more turns.

    """
    worker = Worker.objects.filter(
        worker_type=WorkerType.PO, owner_id=owner_id, status__in=UNFINISHED
    ).first()
    if worker is None:
        return None
    if worker.status == WorkerStatus.CANCELING or worker.released_at or worker.stop_failure:
        raise ProductOwnerLeaving(details={"worker_id": str(worker.pk)})
    return worker


def session_for(owner_id: int, agent_type: str) -> str:
    """Return the conversation that a person's next Product Owner goes on with.

    It is the latest one that was led with this agent, if that was within the last day, else a new one: agents
    do not read each other's transcripts.
    """
    since = timezone.now() - timedelta(seconds=PO_SESSION_TTL_SECONDS)
    known = (
        Worker.objects.filter(worker_type=WorkerType.PO, owner_id=owner_id, agent_type=agent_type)
        .exclude(session_id="")
        .annotate(last_turn_at=Max("turns__created_at"))
        .order_by("-created_at")
        .first()
    )
    if known is None or max(known.last_turn_at or known.created_at, known.created_at) < since:
        return str(uuid4())
    return known.session_id


def home_of(worker: Worker) -> str | None:
    """Return the name of the home that a worker shares with its predecessors; a developer has none."""
    return home_name(worker.owner_id) if worker.worker_type == WorkerType.PO else None


def home_name(owner_id: int) -> str:
    """Return the name of the home of a person's Product Owners."""
    return f"home-{owner_id}"


def remove_homes(runtime: ContainerRuntime) -> int:
    """Delete the homes of people who were deleted, once nobody lives there; returns how many.

    One that cannot be deleted now stays in its row, for the next time.
    """
    count = 0
    for left in DepartedOwner.objects.order_by("left_at")[:_MOST_HOMES]:
        if Worker.objects.filter(
            worker_type=WorkerType.PO, owner_id=left.owner_id, status__in=UNFINISHED
        ).exists():
            continue
        try:
            runtime.remove_home(home_name(left.owner_id))
        except RuntimeUnavailable as error:
            logger.warning("The home of person %s is left for later: %s", left.owner_id, error)
            continue
        left.delete()
        logger.info("Removed the home of person %s, who was deleted", left.owner_id)
        count += 1
    return count
