"""What an agent cannot reach from inside its container; each with a proof that the probe works."""

import os
import shutil
import socket
import subprocess
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
from tests.worker_images import built, real_builder

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
    """Return whether a connection from inside is taken, whether or not its taker ever says a word."""
    script = f"(exec 3<>/dev/tcp/{host}/{port}) 2>/dev/null && echo open || echo {REFUSED}"
    done = runtime.exec(name, ["timeout", "3", "bash", "-c", script], timeout_seconds=10)
    return "open" if done.output.strip() == "open" else REFUSED


@contextmanager
def listening(address: str, port: int = 0) -> Iterator[int]:
    """A server of this machine that never speaks first, as databases do not."""
    with socket.create_server((address, port)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def metadata() -> Iterator[tuple[str, int]]:
    """A server behind this machine at the address where clouds tell a machine its secrets."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making another machine beside this one needs root and the program ip")
    name = f"t{uuid.uuid4().hex[:8]}"
    address, port = "169.254.169.254", 8000
    ip(f"netns add {name}")
    try:
        ip(f"link add {name}a type veth peer name {name}b netns {name}")
        ip(f"address add 169.254.169.253/30 dev {name}a")
        ip(f"link set {name}a up")
        ip(f"-n {name} address add {address}/30 dev {name}b")
        ip(f"-n {name} link set {name}b up")
        ip(f"-n {name} route add default via 169.254.169.253")
        server = subprocess.Popen(["ip", "netns", "exec", name, *LISTEN], stdout=subprocess.PIPE)
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"up\n"
            yield address, port
        finally:
            server.kill()
            server.communicate()
    finally:
        ip(f"netns delete {name}")


def ip(words: str) -> None:
    """Run the program of that name."""
    subprocess.run(["ip", *words.split()], check=True, timeout=20)


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


def test_metadata_address_is_out_of_reach(
    runtime: DockerRuntime, inside: str, metadata: tuple[str, int]
) -> None:
    with socket.create_connection(metadata, timeout=5) as from_here:
        assert from_here.recv(2) == b"hi"

    assert probe(runtime, inside, *metadata) == REFUSED


@pytest.mark.parametrize(("host", "port"), [("1.1.1.1", 53), ("169.254.170.2", 80)])
def test_the_outside_is_out_of_reach(runtime: DockerRuntime, inside: str, host: str, port: int) -> None:
    assert probe(runtime, inside, host, port) == REFUSED


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
    builder = real_builder()
    built(builder, builder.base())
    image = builder.base_tag
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
