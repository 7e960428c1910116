"""Hearing of the ends of containers."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from apps.workers.events import DockerEventsListener
from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.docker_events import end_of
from apps.workers.runtime.ends import ContainerEnd, EndKind

pytestmark = pytest.mark.unit

DIED = ContainerEnd(
    name="worker-1",
    container_id="c1",
    kind=EndKind.DIE,
    exit_code=137,
    at=100.0,
    on_exit=("workers.reconcile_worker", {"worker_id": "1"}),
)
HINT = ("workers.reconcile_worker", {"worker_id": "1"})


class FakeSource:
    """A daemon in memory: each connection tells what it is given and then breaks or falls silent."""

    def __init__(self, *connections: list[ContainerEnd] | None) -> None:
        self.connections = list(connections)  # None: the daemon does not answer
        self.exited: list[ContainerEnd] = []
        self.asked_since: list[float] = []
        self.clock = 50.0

    def now(self) -> float:
        return self.clock

    def past(self) -> list[ContainerEnd]:
        if self.connections and self.connections[0] is None:
            self.connections.pop(0)
            raise RuntimeUnavailable
        return self.exited

    def follow(self, since: float) -> Iterator[ContainerEnd]:
        self.asked_since.append(since)
        yield from (self.connections.pop(0) if self.connections else None) or []


class Announced:
    """What was told, and how often telling fails first."""

    def __init__(self, *, failures: int = 0) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.failures = failures
        self.is_told = threading.Event()

    def __call__(self, task: str, arguments: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the broker is away")
        self.calls.append((task, dict(arguments)))
        self.is_told.set()


def event(**changes: Any) -> dict[str, Any]:
    labels = {
        "codegen.installation": "i",
        "codegen.container": "worker-1",
        "codegen.on_exit": '["workers.reconcile_worker", {"worker_id": "1"}]',
        "name": "worker-1",
        "exitCode": "137",
    }
    return {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "c1", "Attributes": labels},
        "timeNano": 100 * 10**9,
        **changes,
    }


def test_detects_worker_container_die_event() -> None:
    announced = Announced()
    end = end_of(event(), "i")
    assert end is not None

    DockerEventsListener(FakeSource([end]), announced).listen_once(threading.Event())

    assert end == DIED
    assert announced.calls == [HINT]


@pytest.mark.parametrize(
    "foreign",
    [
        event(Actor={"ID": "c2", "Attributes": {"name": "worker-2"}}),
        event(Actor={"ID": "c2", "Attributes": {"codegen.installation": "other", "codegen.container": "x"}}),
        event(Type="network"),
        event(Action="start"),
    ],
)
def test_ignores_non_worker_containers(foreign: dict[str, Any]) -> None:
    assert end_of(foreign, "i") is None


def test_one_end_is_told_once_however_often_it_is_heard() -> None:
    source, announced = FakeSource([DIED, DIED], [DIED]), Announced()
    source.exited = [DIED]
    listener = DockerEventsListener(source, announced)

    listener.listen_once(threading.Event())
    listener.listen_once(threading.Event())

    assert announced.calls == [HINT]


def test_memory_that_ran_out_is_told_besides_the_end() -> None:
    announced = Announced()

    DockerEventsListener(FakeSource([replace(DIED, kind=EndKind.OOM), DIED]), announced).listen_once(
        threading.Event()
    )

    assert announced.calls == [HINT, HINT]


def test_end_while_nobody_listened_is_told_at_the_next_connection() -> None:
    source, announced = FakeSource([]), Announced()
    source.exited = [replace(DIED, at=None)]

    DockerEventsListener(source, announced).listen_once(threading.Event())

    assert announced.calls == [HINT]


def test_next_stream_begins_where_the_last_word_was() -> None:
    source = FakeSource([DIED], [])
    listener = DockerEventsListener(source, Announced())

    listener.listen_once(threading.Event())
    listener.listen_once(threading.Event())

    assert source.asked_since[0] <= 50.0
    assert 90.0 < source.asked_since[1] <= 100.0


def test_container_that_names_no_task_is_nobodys_business() -> None:
    announced = Announced()

    DockerEventsListener(FakeSource([replace(DIED, on_exit=None)]), announced).listen_once(threading.Event())

    assert announced.calls == []


def test_daemon_and_broker_that_go_away_delay_and_lose_nothing() -> None:
    source, announced, stop = FakeSource(None, [DIED], None, [DIED]), Announced(failures=1), threading.Event()
    listener = DockerEventsListener(source, announced, first_delay=0.001)
    thread = threading.Thread(target=listener.run, args=(stop,))

    thread.start()
    is_told = announced.is_told.wait(10)
    stop.set()
    thread.join(10)

    assert is_told
    assert announced.calls == [HINT]
