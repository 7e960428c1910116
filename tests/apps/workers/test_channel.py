"""The channel and its users, against the real server."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis
from redis.exceptions import NoPermissionError

from apps.workers.channel import Channel, ChannelUnavailable, connect
from apps.workers.credentials import digest
from apps.workers.models import Worker
from orchestrator.embedded import Embedded
from worker_image.contract import INPUT_GROUP, WAKEUP_STREAM, input_stream, output_stream

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MakeWorker = Callable[..., Worker]
Connect = Callable[[Worker], redis.Redis]


def test_worker_appends_to_its_output_and_reads_its_input(
    admitted: MakeWorker, own_client: Connect, operator: Channel
) -> None:
    worker = admitted()
    client = own_client(worker)
    operator.send_input(worker.pk, number=1, message="hello")

    read: Any = client.xreadgroup(INPUT_GROUP, "wrapper", {input_stream(str(worker.pk)): ">"})
    client.xadd(output_stream(str(worker.pk)), {"data": "x"})

    assert b"hello" in repr(read).encode()
    assert operator.client.xlen(output_stream(str(worker.pk))) == 1


FORBIDDEN: list[tuple[str, ...]] = [
    ("KEYS", "*"),
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("EVAL", "return 1", "0"),
    ("ACL", "LIST"),
    ("SELECT", "1"),
    ("SCAN", "0"),
    ("XADD", WAKEUP_STREAM, "*", "data", "x"),
    ("XADD", "{other_output}", "*", "data", "x"),
    ("XADD", "{own_input}", "*", "data", "x"),
    ("XADD", "celery", "*", "data", "x"),
    ("LPUSH", "celery", "x"),
    ("XREADGROUP", "GROUP", INPUT_GROUP, "x", "STREAMS", "{other_input}", ">"),
    ("XREADGROUP", "GROUP", "control-plane", "x", "STREAMS", "{own_output}", ">"),
    ("XREAD", "STREAMS", "{other_output}", "0"),
    ("XRANGE", "{own_output}", "-", "+"),
    ("DEL", "{own_output}"),
    ("XGROUP", "CREATE", "{own_input}", "g", "0"),
    ("SUBSCRIBE", "anything"),
    ("SHUTDOWN",),
    ("CLIENT", "LIST"),
    ("MONITOR",),
]


@pytest.mark.parametrize("command", FORBIDDEN, ids=" ".join)
def test_worker_may_do_nothing_else(
    admitted: MakeWorker, own_client: Connect, command: tuple[str, ...]
) -> None:
    worker, neighbour = admitted(), admitted()
    names = {
        "{own_input}": input_stream(str(worker.pk)),
        "{own_output}": output_stream(str(worker.pk)),
        "{other_input}": input_stream(str(neighbour.pk)),
        "{other_output}": output_stream(str(neighbour.pk)),
    }
    client: Any = own_client(worker)

    with pytest.raises(NoPermissionError):
        client.execute_command(*(names.get(word, word) for word in command))


def test_shut_out_worker_is_refused_at_once(
    admitted: MakeWorker, own_client: Connect, operator: Channel
) -> None:
    worker = admitted()
    client = own_client(worker)
    client.ping()

    operator.shut_out(worker.pk)

    with pytest.raises(redis.RedisError):
        client.xadd(output_stream(str(worker.pk)), {"data": "x"})
    assert not operator.is_admitted(worker.pk)


def test_admitting_twice_keeps_what_is_there(admitted: MakeWorker, operator: Channel) -> None:
    worker = admitted()
    operator.send_input(worker.pk, number=1, message="hello")

    operator.admit(worker.pk, worker.password_sha256)

    assert operator.client.xlen(input_stream(str(worker.pk))) == 1
    assert operator.is_admitted(worker.pk)


def test_repeated_input_counts_as_sent(admitted: MakeWorker, operator: Channel) -> None:
    worker = admitted()

    first = operator.send_input(worker.pk, number=1, message="hello")
    again = operator.send_input(worker.pk, number=1, message="hello")

    assert (first, again) == (True, False)
    assert operator.client.xlen(input_stream(str(worker.pk))) == 1


def test_known_workers_are_found_by_stream_and_by_user(admitted: MakeWorker, operator: Channel) -> None:
    worker = admitted()
    operator.client.flushall()

    assert operator.list_known_workers() == {worker.pk}


def test_absent_things_are_removed_with_success(admitted: MakeWorker, operator: Channel) -> None:
    worker = admitted()
    operator.shut_out(worker.pk)
    operator.drop(worker.pk)

    operator.shut_out(worker.pk)
    operator.drop(worker.pk)

    assert operator.list_known_workers() == set()


def test_server_that_is_away_is_unavailable_and_not_empty(admitted: MakeWorker) -> None:
    worker = admitted()
    nobody = Channel(connect("redis://127.0.0.1:1/0"))

    with pytest.raises(ChannelUnavailable):
        nobody.is_drained(worker.pk)
    with pytest.raises(ChannelUnavailable):
        nobody.is_admitted(worker.pk)


@pytest.fixture
def own_server() -> Iterator[Embedded]:
    """A channel server that a test may kill."""
    directory = Path(tempfile.mkdtemp(prefix="channel-", dir="/tmp"))
    directory.chmod(0o711)
    embedded = Embedded(directory, names=("channel",))
    embedded.ensure("channel")
    yield embedded
    embedded.remove()


def test_users_and_their_limits_survive_a_kill_of_the_server(own_server: Embedded) -> None:
    address = own_server.env()["CHANNEL_REDIS_URL"]
    worker_id, password = uuid4(), "p" * 64
    Channel(connect(address)).admit(worker_id, digest(password))

    own_server.kill("channel")
    own_server.ensure("channel")

    parts = urlsplit(own_server.env()["CHANNEL_REDIS_URL"])
    own = f"redis://worker-{worker_id}:{password}@127.0.0.1:{parts.port}/0"
    client: Any = connect(own)
    client.xadd(output_stream(str(worker_id)), {"data": "x"})
    for command in (("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("EVAL", "return 1", "0")):
        with pytest.raises(NoPermissionError):
            client.execute_command(*command)
    with pytest.raises(redis.AuthenticationError):
        connect(f"redis://127.0.0.1:{parts.port}/0").ping()
    client.close()


def test_nearly_full_server_names_its_largest_writer(admitted: MakeWorker, operator: Channel) -> None:
    quiet, loud = admitted(), admitted()
    operator.client.xadd(output_stream(str(loud.pk)), {"data": "x" * 100_000})

    largest = operator.largest_output_when_full([quiet.pk, loud.pk], full_at=0.0)

    assert largest == loud.pk
    assert operator.largest_output_when_full([quiet.pk, loud.pk], full_at=0.99) is None
