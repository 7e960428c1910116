"""What tests of this app share: a channel with users in it, and a consumer that is stepped by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from redis import Redis

from apps.workers.channel import Channel, connect, worker_url
from apps.workers.composition import Hands, Limits, container_spec
from apps.workers.consumer import Pace, ResultConsumer
from apps.workers.consumer_apply import Facts
from apps.workers.credentials import credentials_of
from apps.workers.followups import FollowUp
from apps.workers.limits import IDLE_SECONDS, REPORT_SECONDS
from apps.workers.models import Worker
from apps.workers.reconciler import reconcile_worker
from tests.factories import make_worker
from tests.fakes_runtime import FakeRuntime
from worker_image.contract import OutputBody, acl_user, envelope, output_stream

MakeWorker = Callable[..., Worker]
QUICK = Pace(block_ms=20, claim_idle_ms=0, claim_seconds=0.0, refresh_seconds=0.0)


@pytest.fixture
def operator() -> Iterator[Channel]:
    """The channel as the control plane has it; users and streams are gone afterwards."""
    client = connect(settings.CHANNEL_REDIS_URL)
    yield Channel(client)
    acl: Any = client
    for worker_id in Channel(client).list_known_workers():
        acl.execute_command("ACL", "DELUSER", acl_user(str(worker_id)))
    client.flushall()
    client.close()


@pytest.fixture
def admitted(operator: Channel, db: None) -> Callable[..., Worker]:
    """Make a worker that may use the channel, with the credentials that derive from its id."""

    def make(**fields: Any) -> Worker:
        worker = make_worker(**fields)
        credentials = credentials_of(worker.pk)
        digests = {
            "token_sha256": credentials.token_sha256,
            "password_sha256": credentials.password_sha256,
        }
        Worker.objects.filter(pk=worker.pk).update(**digests)
        operator.admit(worker.pk, credentials.password_sha256)
        return Worker.objects.get(pk=worker.pk)

    return make


class Harness:
    """A consumer, what it told, and a pen to write outputs with."""

    def __init__(self, operator: Channel) -> None:
        self.operator = operator
        self.told = Facts()
        self.consumer = self.another()

    def another(self, **options: Any) -> ResultConsumer:
        """Return a further consumer of the same group."""
        defaults = {"flood_limit": 100_000, "pace": QUICK, "tell": self.told.add}
        return ResultConsumer(channel=self.operator, client=self.operator.client, **{**defaults, **options})

    def say(self, worker: Worker, body: OutputBody, *, seq: int = 1, boot: str = "boot-a") -> str:
        """Append an entry as the worker would."""
        return self.say_raw(worker, envelope(boot=boot, seq=seq, body=body).model_dump_json())

    def say_raw(self, worker: Worker, data: str | bytes) -> str:
        """Append any bytes."""
        entry_id: Any = self.operator.client.xadd(output_stream(str(worker.pk)), {"data": data})
        return str(entry_id.decode())

    def pending(self, worker: Worker) -> int:
        """Return how many entries are read but not acknowledged."""
        groups: Any = self.operator.client.xinfo_groups(output_stream(str(worker.pk)))
        return int(groups[0]["pending"])

    def length(self, worker: Worker) -> int:
        """Return how many entries the output holds."""
        return int(self.operator.client.xlen(output_stream(str(worker.pk))))


@pytest.fixture
def harness(operator: Channel) -> Harness:
    """A consumer that is stepped by hand."""
    return Harness(operator)


@pytest.fixture
def own_client(operator: Channel) -> Iterator[Callable[[Worker], Redis]]:
    """Connect as a worker, with its own user."""
    clients: list[Redis] = []

    def make(worker: Worker) -> Redis:
        clients.append(connect(worker_url(worker.pk, credentials_of(worker.pk).password)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


LIMITS = Limits(
    max_concurrent=2,
    spawn_seconds=60,
    stop_grace_seconds=10,
    idle_seconds=IDLE_SECONDS,
    report_seconds=REPORT_SECONDS,
    verification_seconds=60,
)


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def hands(runtime: FakeRuntime, operator: Channel) -> Hands:
    return Hands(runtime=runtime, channel=operator, limits=LIMITS, describe=container_spec)


@pytest.fixture
def running(admitted: MakeWorker, runtime: FakeRuntime) -> Callable[..., Worker]:
    """Make a worker whose container runs and has reported."""

    def make(**fields: Any) -> Worker:
        worker = admitted(observed_at=timezone.now(), **fields)
        runtime.start(container_spec(worker))
        return worker

    return make


def step(worker: Worker, hands: Hands) -> list[FollowUp]:
    follow_ups = reconcile_worker(worker_id=worker.pk, hands=hands)
    worker.refresh_from_db()
    return follow_ups


def settle(worker: Worker, hands: Hands, times: int = 6) -> None:
    for _ in range(times):
        step(worker, hands)
