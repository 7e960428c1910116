"""How many containers wait for the next workers, and of which kind."""

from typing import Final
from uuid import uuid4

from apps.workers import images
from apps.workers.agents_choice import choose_agent
from apps.workers.composition import container_spec
from apps.workers.images import ImageHands
from apps.workers.models import ACTIVE, Worker, WorkerImage
from apps.workers.runtime.docker import DockerRuntime
from worker_image.contract import WorkerType

_NONE: Final = 0


def keep_spares(runtime: DockerRuntime, hands: ImageHands, *, wanted: int, places: int) -> int:
    """Have spare containers for developers with the agent that is chosen by default; returns how many.

    Args:
        runtime: where they are.
        hands: knows the image; as long as that is not built there are no spares.
        wanted: how many, if there are places.
        places: how many workers may exist at once, spares included.

    Raises:
        RuntimeUnavailable: nothing is known; ask again.

    """
    worker = _next_developer()
    recipe = images.recipe_for(worker, hands.builder)
    if hands.builder.find(recipe) is None:
        return _NONE
    worker.image = WorkerImage(tag=recipe.tag)
    taken = Worker.objects.filter(status__in=ACTIVE, removed_at=None).count()
    count = max(_NONE, min(wanted, places - taken))
    runtime.keep_spares(container_spec(worker), count=count)
    return count


def _next_developer() -> Worker:
    """Return a row as it would be if somebody asked now; it is never saved."""
    agent = choose_agent(None)
    return Worker(
        id=uuid4(),
        worker_type=WorkerType.DEVELOPER,
        agent_type=agent.agent_type,
        config={"auth_mode": agent.auth_mode, "memory_mb": agent.memory_mb, "cpus": agent.cpus},
    )
