"""What the daemon tells of ends, and who is left to hear it."""

import queue
import secrets
import threading
from collections.abc import Iterator

import pytest

from apps.workers.events import DockerEventsListener
from apps.workers.runtime.base import Phase
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_events import DockerEnds
from tests import docker_engine
from tests.runtime_stages import phase_of, spec, wait_for

pytestmark = [pytest.mark.service, pytest.mark.docker]


_RUN = secrets.token_hex(4)


def name(number: int) -> str:
    """Return a name that no other test run uses: it is the daemon's, not the installation's."""
    return f"worker-{_RUN}-{number}"


@pytest.fixture
def runtime() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as found:
        yield found


@pytest.fixture
def told(runtime: DockerRuntime) -> Iterator["queue.Queue[tuple[str, str]]"]:
    """What a listener hears while the test runs."""
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    stop = threading.Event()
    ends = DockerEnds(runtime.connection, runtime.installation, silence_seconds=2)
    listener = DockerEventsListener(ends, lambda task, arguments: heard.put((task, arguments["id"])))
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    yield heard
    stop.set()
    thread.join(30)
    for state in runtime.list_owned():
        runtime.remove(state.name)


def test_killed_container_is_told_and_no_other(
    runtime: DockerRuntime, told: "queue.Queue[tuple[str, str]]"
) -> None:
    runtime.start(spec(name(1), on_exit=("workers.reconcile_worker", {"id": "1"})))
    runtime.start(spec(name(2), on_exit=("workers.reconcile_worker", {"id": "2"})))

    runtime.ask_to_stop(name(2))

    assert told.get(timeout=15) == ("workers.reconcile_worker", "2")
    assert told.empty()


def test_end_before_the_listener_is_told(runtime: DockerRuntime) -> None:
    runtime.start(spec(name(3), command=("true",), on_exit=("workers.reconcile_worker", {"id": "3"})))
    wait_for(lambda: phase_of(runtime, name(3)) is Phase.EXITED)
    heard: list[str] = []
    ends = DockerEnds(runtime.connection, runtime.installation, silence_seconds=1)
    listener = DockerEventsListener(ends, lambda _task, arguments: heard.append(arguments["id"]))

    listener.listen_once(threading.Event())

    runtime.remove(name(3))
    assert heard == ["3"]


def test_containers_of_others_are_not_heard(
    runtime: DockerRuntime, told: "queue.Queue[tuple[str, str]]"
) -> None:
    with docker_engine.installation() as stranger:
        stranger.start(spec(name(9), command=("true",), on_exit=("workers.reconcile_worker", {"id": "9"})))
        runtime.start(spec(name(4), command=("true",), on_exit=("workers.reconcile_worker", {"id": "4"})))

        heard = told.get(timeout=15)

    assert heard == ("workers.reconcile_worker", "4")
