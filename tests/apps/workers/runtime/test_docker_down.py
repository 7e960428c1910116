"""A daemon that is absent, deaf, full or in trouble: a typed error at every verb, in time."""

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_events import DockerEnds
from apps.workers.runtime.docker_images import DockerImages
from apps.workers.runtime.ends import EndSource
from apps.workers.runtime.images import BuildRequest, ImageStore
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
    "start": lambda runtime: runtime.start(spec("worker-3", image="any")),
    "inspect": lambda runtime: runtime.inspect("worker-4"),
    "logs": lambda runtime: runtime.logs("worker-1", tail_bytes=10),
    "fetch": lambda runtime: runtime.fetch("worker-1", "file", limit_bytes=10),
    "ask_to_stop": lambda runtime: runtime.ask_to_stop("worker-1"),
    "pause": lambda runtime: runtime.pause("worker-1"),
    "unpause": lambda runtime: runtime.unpause("worker-2"),
    "exec": lambda runtime: runtime.exec("worker-1", ["true"]),
    "remove": lambda runtime: runtime.remove("worker-1"),
    "remove_home": lambda runtime: runtime.remove_home("home-1"),
    "remove_leftovers": lambda runtime: runtime.remove_leftovers(min_age_seconds=0),
    "list_owned": lambda runtime: runtime.list_owned(),
    "disk_use": lambda runtime: runtime.disk_use(),
    "keep_spares": lambda runtime: runtime.keep_spares(spec(image="any", own_init=True), count=1),
    "dissolve": lambda runtime: runtime.dissolve(),
    "past": lambda runtime: DockerEnds(runtime.connection, "i").past(),
    "follow": lambda runtime: list(DockerEnds(runtime.connection, "i", silence_seconds=1).follow(0)),
    "image find": lambda runtime: images_of(runtime).find("any:tag"),
    "image build": lambda runtime: images_of(runtime).build(A_BUILD, print),
    "image list_owned": lambda runtime: images_of(runtime).list_owned(),
    "image remove": lambda runtime: images_of(runtime).remove("any:tag"),
}
TROUBLE = {"message": "something broke"}
BROKEN = (500, TROUBLE)
#: Longer than a test may take: whoever builds must notice before that nobody is there.
A_BUILD = BuildRequest(tag="any:tag", archive=b"", dockerfile="Dockerfile", silence_seconds=60)


def ours(name: str, *, is_paused: bool = False) -> dict[str, Any]:
    """What a daemon says of a container of ours that runs."""
    return {
        "Id": name,
        "Name": f"/{name}",
        "State": {"Status": "running", "Running": True, "Paused": is_paused},
        "Config": {
            "Labels": {"codegen.installation": "i", "codegen.container": name},
            "Env": [],
            "Tty": False,
        },
    }


#: So much is answered that a verb goes on to what it is there for.
FOUND: dict[tuple[str, str], tuple[int, Any] | list[tuple[int, Any]]] = {
    ("GET", "/containers/worker-1/json"): (200, ours("worker-1")),
    ("GET", "/containers/worker-2/json"): (200, ours("worker-2", is_paused=True)),
    ("GET", "/containers/worker-3/json"): (404, {"message": "No such container: worker-3"}),
}
#: As far as a daemon comes before it is of no use any more.
DAEMONS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "absent": docker_daemons.absent,
    "deaf": docker_daemons.deaf,
    "mute": lambda: docker_daemons.scripted({}, otherwise=None),
    "mute later": lambda: docker_daemons.scripted(FOUND, otherwise=None),
    "broken": lambda: docker_daemons.scripted({("GET", "/version"): BROKEN}, otherwise=BROKEN),
    "broken later": lambda: docker_daemons.scripted(FOUND, otherwise=BROKEN),
}
#: What a verb says of each, so that none of them passes for another.
WORDS = {
    "absent": "No such file or directory",
    "deaf": "timed out",
    "mute": "timed out",
    "mute later": "timed out",
    "broken": "500",
    "broken later": "500",
}
FULL = {"message": "mkdir /var/lib/docker/x: no space left on device"}


def images_of(runtime: DockerRuntime) -> DockerImages:
    """The images of the same daemon."""
    return DockerImages(installation="i", connection=runtime.connection)


@contextmanager
def runtime_at(address: str) -> Iterator[DockerRuntime]:
    runtime = DockerRuntime(installation="i", timeout_seconds=1, address=address)
    yield runtime
    gc.collect()


class Outcome(NamedTuple):
    """What came of a verb: the error and what it says, without its frames, which hold on to sockets."""

    error: type[Exception] | None
    message: str
    seconds: float


def provoke(address: str) -> dict[str, Outcome]:
    """Ask for everything at once; returns by verb what came of it."""

    def ask(verb: str) -> Outcome:
        began = time.monotonic()
        runtime = DockerRuntime(installation="i", timeout_seconds=1, address=address)
        error, message = None, ""
        try:
            VERBS[verb](runtime)
        except Exception as raised:
            error, message = type(raised), str(raised)
        return Outcome(error, message, time.monotonic() - began)

    with ThreadPoolExecutor(len(VERBS)) as threads:
        found = dict(zip(VERBS, threads.map(ask, VERBS), strict=True))
    gc.collect()
    return found


@pytest.fixture(scope="module", params=DAEMONS)
def outcomes(request: pytest.FixtureRequest) -> tuple[str, dict[str, Outcome]]:
    """A daemon that is of no use, and what every verb says of it."""
    with DAEMONS[request.param]() as address:
        return request.param, provoke(address)


@pytest.mark.parametrize("verb", VERBS)
def test_daemon_that_is_down_is_unavailable_in_time(
    outcomes: tuple[str, dict[str, Outcome]], verb: str
) -> None:
    daemon, by_verb = outcomes
    outcome = by_verb[verb]

    assert outcome.error is base.RuntimeUnavailable, outcome.message
    assert WORDS[daemon] in outcome.message
    assert outcome.seconds < 15


def test_every_verb_of_the_ports_is_provoked() -> None:
    ports = (base.ContainerRuntime, ImageStore, EndSource)

    verbs = {name for port in ports for name in vars(port) if not name.startswith("_")}

    assert {f"image {verb}" if f"image {verb}" in VERBS else verb for verb in verbs} - {"now"} <= VERBS.keys()


def test_build_that_nobody_follows_ends_in_time() -> None:
    alive = {("GET", "/_ping"): (200, "OK")}
    request = replace(A_BUILD, silence_seconds=1)

    with docker_daemons.scripted(alive, otherwise=None) as address, runtime_at(address) as runtime:
        began = time.monotonic()
        with pytest.raises(base.RuntimeUnavailable):
            images_of(runtime).build(request, print)

    assert time.monotonic() - began < 15


def test_build_that_fills_the_disk_is_not_the_commands_fault() -> None:
    full = {"error": "write /usr/lib/x.so: no space left on device"}
    answers = {("GET", "/_ping"): (200, "OK"), ("POST", "/build"): (200, full)}

    with (
        docker_daemons.scripted(answers) as address,
        runtime_at(address) as runtime,
        pytest.raises(base.RuntimeFull) as raised,
    ):
        images_of(runtime).build(A_BUILD, print)

    assert raised.value.error_code == "runtime_disk_full"


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
