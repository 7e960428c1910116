"""What an agent cannot reach from inside its container; each with a proof that the probe works."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from apps.workers.runtime import base
from apps.workers.runtime.docker import DockerRuntime
from tests import docker_engine
from tests.runtime_stages import phase_of, spec, wait_for

pytestmark = [pytest.mark.service, pytest.mark.docker]

REFUSED = "closed"
#: Debian's own perl listens; bash connects.
LISTEN = (
    "perl",
    "-MIO::Socket::INET",
    "-e",
    "$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5, ReuseAddr => 1) or die; "
    "$| = 1; print qq(up\\n); while ($c = $s->accept) { print $c qq(hi\\n); close $c }",
)


@pytest.fixture(scope="module")
def runtime() -> Iterator[DockerRuntime]:
    with docker_engine.installation() as found:
        yield found


@pytest.fixture(scope="module")
def inside(runtime: DockerRuntime) -> str:
    """A container with everything a worker's may have."""
    name = f"worker-{uuid.uuid4()}"
    runtime.start(spec(name, network=base.Network.EGRESS, deadline_seconds=300))
    return name


def probe(runtime: DockerRuntime, name: str, host: str, port: int) -> str:
    """Return what a connection from inside says."""
    script = f"exec 3<>/dev/tcp/{host}/{port} && head -c 2 <&3 || echo {REFUSED}"
    done = runtime.exec(name, ["timeout", "3", "bash", "-c", script], timeout_seconds=10)
    return "open" if done.output.startswith("hi") else REFUSED


@contextmanager
def listening(address: str) -> Iterator[int]:
    """A server of this machine that greets."""
    with socket.create_server((address, 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hi")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_only_what_listens_on_the_gateway_is_reachable(runtime: DockerRuntime, inside: str) -> None:
    with listening(runtime.gateway()) as ours, listening("127.0.0.1") as local:
        assert probe(runtime, inside, runtime.gateway(), ours) == "open"
        assert probe(runtime, inside, runtime.gateway(), local) == REFUSED


def test_database_and_broker_are_out_of_reach(runtime: DockerRuntime, inside: str) -> None:
    urls = [settings.REDIS_URL, settings.CHANNEL_REDIS_URL]
    ports = [urlsplit(url).port for url in urls] + [settings.DATABASES["default"]["PORT"]]

    answers = {probe(runtime, inside, runtime.gateway(), int(port)) for port in ports if port}

    assert answers == {REFUSED}


def test_other_worker_is_out_of_reach(runtime: DockerRuntime, inside: str) -> None:
    neighbor = f"worker-{uuid.uuid4()}"
    runtime.start(spec(neighbor, command=LISTEN))
    wait_for(lambda: runtime.logs(neighbor, tail_bytes=100) == "up\n")
    networks = runtime.connection.client().containers.get(neighbor).attrs["NetworkSettings"]["Networks"]
    address = networks[f"codegen-{runtime.installation}"]["IPAddress"]

    with socket.create_connection((address, 8000), timeout=5) as from_here:
        greeting = from_here.recv(2)

    assert greeting == b"hi"
    assert probe(runtime, inside, address, 8000) == REFUSED
    assert probe(runtime, neighbor, "127.0.0.1", 8000) == "open"


@pytest.mark.parametrize(("host", "port"), [("169.254.169.254", 80), ("1.1.1.1", 53), ("169.254.170.2", 80)])
def test_metadata_and_the_outside_are_out_of_reach(
    runtime: DockerRuntime, inside: str, host: str, port: int
) -> None:
    done = runtime.exec(inside, ["timeout", "3", "bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}"])

    assert done.exit_code != 0


def test_names_of_the_outside_are_not_resolved(runtime: DockerRuntime, inside: str) -> None:
    outside = runtime.exec(inside, ["getent", "ahosts", "some-secret.example.com"])
    own = runtime.exec(inside, ["getent", "ahosts", "localhost"])

    assert (own.exit_code, outside.exit_code) == (0, 2)


def test_machine_is_out_of_reach(runtime: DockerRuntime, inside: str) -> None:
    script = """
        ls /var/run/docker.sock /run/docker.sock 2>/dev/null
        touch /usr/bin/x 2>/dev/null && echo root is writable
        ip link add dummy0 type dummy 2>/dev/null && echo network is writable
        mount -t tmpfs none /mnt 2>/dev/null && echo can mount
        grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
        id -u
    """

    done = runtime.exec(inside, ["sh", "-c", script])

    words = dict(line.split(":\t") for line in done.output.splitlines()[:-1])
    assert words == {
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    assert done.output.splitlines()[-1] == "1000"


def test_network_none_has_not_even_the_gateway(runtime: DockerRuntime) -> None:
    name = f"verification-{uuid.uuid4()}"
    runtime.start(spec(name, network=base.Network.NONE))

    with listening(runtime.gateway()) as port:
        assert probe(runtime, name, runtime.gateway(), port) == REFUSED


def test_agents_user_cannot_read_the_wrappers_secrets(runtime: DockerRuntime) -> None:
    name = f"worker-{uuid.uuid4()}"
    secrets = {
        "WORKER_ID": name,
        "WORKER_TYPE": "developer",
        "AGENT_TYPE": "rehearsal",
        "REDIS_URL": "redis://worker:sesame@127.0.0.1:1/0",
        "API_URL": "http://127.0.0.1:1",
        "WORKER_TOKEN": "sesame",
    }
    image = docker_engine.worker_image()
    runtime.start(
        spec(name, image=image, command=("orchestrator-worker",), environment=secrets, own_init=True)
    )
    # The wrapper protects itself first and speaks afterwards.
    wait_for(lambda: runtime.logs(name, tail_bytes=1000) != "")

    commands = runtime.exec(name, ["cat", "/proc/1/cmdline"])
    environment = runtime.exec(name, ["sh", "-c", "cat /proc/1/environ; cat /proc/1/mem | head -c 1"])
    own = runtime.exec(name, ["sh", "-c", "cat /proc/self/environ"])

    assert "worker_wrapper" in commands.output
    assert phase_of(runtime, name) is base.Phase.RUNNING
    assert "Permission denied" in environment.output
    assert "sesame" not in environment.output + own.output
