"""What the first page tells beside rows: queues, capacity, spend, freshness. Unknown is None, never zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import redis
from django.conf import settings
from django.db.models import Count, F, Max, Sum
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from apps.infra.models import PortAllocation, Server, ServerStatus
from apps.projects.models import TaskEvent
from apps.workers.models import ACTIVE, Turn, Worker, WorkerStatus
from apps.workers.spending import Spend, spend_of
from orchestrator.stack.table import QUEUES

_TIMEOUT_SECONDS: Final = 0.5
#: A queue is one list for each priority step; this is how kombu names them.
_PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What is taken of what there is."""

    workers: int
    worker_limit: int
    waiting_workers: int
    ports: int
    port_limit: int | None  # None while there is no server


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """When something was last heard of; None: never."""

    beat: datetime | None
    heartbeat: datetime | None
    event: datetime | None


def queue_depths() -> Mapping[str, int] | None:
    """Return how many messages wait in each queue; None if the broker could not be asked."""
    names = [name for queues in QUEUES.values() for name in queues]
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )
    try:
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                for suffix in _PRIORITIES:
                    pipeline.llen(f"{name}{suffix}")
            lengths: Sequence[int] = pipeline.execute()
    except redis.RedisError:
        return None
    finally:
        client.close()
    size = len(_PRIORITIES)
    return {name: sum(lengths[at * size : (at + 1) * size]) for at, name in enumerate(names)}


def capacity() -> Capacity:
    """Return what is taken of workers' places and of ports."""
    counted = Worker.objects.filter(status__in=[*ACTIVE, WorkerStatus.PENDING], removed_at=None)
    by_status = dict(counted.values_list("status").annotate(Count("pk")).order_by())
    waiting = by_status.pop(WorkerStatus.PENDING, 0) if WorkerStatus.PENDING not in ACTIVE else 0
    width = Sum(F("port_range_end") - F("port_range_start") + 1)
    ports = Server.objects.filter(status=ServerStatus.ACTIVE).aggregate(width=width)["width"]
    return Capacity(
        workers=sum(by_status.values()),
        worker_limit=settings.WORKERS_MAX_CONCURRENT,
        waiting_workers=waiting,
        ports=PortAllocation.objects.count(),
        port_limit=ports,
    )


def spend(period: timedelta) -> Spend:
    """Return what the turns of the last hours or days cost."""
    return spend_of(Turn.objects.filter(created_at__gte=timezone.now() - period))


def freshness() -> Freshness:
    """Return when beat, workers and runs were last heard of."""
    latest = TaskEvent.objects.order_by("-pk").values_list("occurred_at", flat=True).first()
    return Freshness(
        beat=PeriodicTask.objects.aggregate(latest=Max("last_run_at"))["latest"],
        heartbeat=Worker.objects.aggregate(latest=Max("heartbeat_at"))["latest"],
        event=latest,
    )
