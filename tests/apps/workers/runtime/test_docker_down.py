"""A daemon that is absent, deaf, full or in trouble: a typed error at every verb, in time."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_events import DockerEnds
from tests import docker_daemons
from tests.runtime_stages import spec

# The SDK leaves its socket to the garbage collector when a connection fails.
pytestmark = [
    pytest.mark.service,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

VERBS: dict[str, Callable[[DockerRuntime], object]] = {
    "ping": lambda runtime: runtime.ping(),
    "gateway": lambda runtime: runtime.gateway(),
    "start": lambda runtime: runtime.start(spec(image="any")),
    "inspect": lambda runtime: runtime.inspect("worker-1"),
    "logs": lambda runtime: runtime.logs("worker-1", tail_bytes=10),
    "fetch": lambda runtime: runtime.fetch("worker-1", "file", limit_bytes=10),
    "ask_to_stop": lambda runtime: runtime.ask_to_stop("worker-1"),
    "pause": lambda runtime: runtime.pause("worker-1"),
    "unpause": lambda runtime: runtime.unpause("worker-1"),
    "exec": lambda runtime: runtime.exec("worker-1", ["true"]),
    "remove": lambda runtime: runtime.remove("worker-1"),
    "remove_home": lambda runtime: runtime.remove_home("home-1"),
    "remove_leftovers": lambda runtime: runtime.remove_leftovers(min_age_seconds=0),
    "list_owned": lambda runtime: runtime.list_owned(),
    "dissolve": lambda runtime: runtime.dissolve(),
    "past": lambda runtime: DockerEnds(runtime.connection, "i").past(),
    "follow": lambda runtime: list(DockerEnds(runtime.connection, "i").follow(0)),
}
TROUBLE = {"message": "something broke"}
FULL = {"message": "mkdir /var/lib/docker/x: no space left on device"}


@contextmanager
def runtime_at(address: str) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(installation="i", timeout_seconds=1, address=address)
    yield runtime
    gc.collect()


@pytest.mark.parametrize("verb", VERBS)
def test_absent_daemon_is_unavailable(verb: str) -> None:
    runtime = DockerRuntime(installation="i", address="unix:///tmp/no-such-directory/docker.sock")

    with pytest.raises(base.RuntimeUnavailable):
        VERBS[verb](runtime)
    gc.collect()


@pytest.mark.parametrize("verb", ["start", "inspect", "remove", "follow"])
def test_deaf_daemon_is_unavailable_in_time(verb: str) -> None:
    with docker_daemons.deaf() as address, runtime_at(address) as runtime:
        began = time.monotonic()

        with pytest.raises(base.RuntimeUnavailable):
            VERBS[verb](runtime)

        assert time.monotonic() - began < 15


@pytest.mark.parametrize("verb", ["inspect", "logs", "pause", "exec", "ask_to_stop", "start"])
def test_trouble_of_the_daemon_is_no_answer_about_the_container(verb: str) -> None:
    answers = {("GET", "/containers/worker-1/json"): (500, TROUBLE)}
    with (
        docker_daemons.scripted(answers) as address,
        runtime_at(address) as runtime,
        pytest.raises(base.RuntimeUnavailable),
    ):
        VERBS[verb](runtime)


def test_full_disk_is_named() -> None:
    answers = {
        ("GET", "/networks"): (
            200,
            [
                {
                    "Id": "n",
                    "Name": "codegen-i",
                    "Created": "1",
                    "Labels": {"codegen.installation": "i"},
                    "IPAM": {"Config": [{"Gateway": "10.0.0.1"}]},
                }
            ],
        ),
        ("POST", "/containers/create"): (500, FULL),
    }
    with (
        docker_daemons.scripted(answers) as address,
        runtime_at(address) as runtime,
        pytest.raises(base.RuntimeFull),
    ):
        VERBS["start"](runtime)


def test_refusal_of_the_daemon_is_final() -> None:
    answers = {("POST", "/containers/create"): (400, {"message": "invalid environment"})}
    with (
        docker_daemons.scripted(answers) as address,
        runtime_at(address) as runtime,
        pytest.raises(base.ContainerRefused),
    ):
        runtime.start(spec(image="any", network=base.Network.NONE))


def test_image_that_is_not_there_is_named() -> None:
    with (
        docker_daemons.scripted({}) as address,
        runtime_at(address) as runtime,
        pytest.raises(base.ImageMissing),
    ):
        runtime.start(spec(image="any", network=base.Network.NONE))


def test_removal_that_another_does_is_waited_for() -> None:
    summary = {"Id": "c1", "Names": ["/worker-1"], "Labels": {}}
    busy = (409, {"message": "removal is already in progress"})
    deletions = [busy, busy, (404, {"message": "no such container"})]
    answers = {("GET", "/containers/json"): (200, [summary]), ("DELETE", "/containers/c1"): deletions}

    with docker_daemons.scripted(answers) as address, runtime_at(address) as runtime:
        runtime.remove("worker-1")

    assert deletions == []
