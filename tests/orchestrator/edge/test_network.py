"""From inside a real container: what the edge lets it reach, and that everything else is silence."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import replace

import pytest

from apps.workers.runtime.base import ContainerSpec, Network
from apps.workers.runtime.docker import DockerRuntime
from orchestrator.edge import ports
from orchestrator.edge.addresses import AllowList
from orchestrator.edge.config import EdgeConfig, Upstream
from orchestrator.edge.listeners import Edge
from orchestrator.installation import bridge_name
from tests import docker_engine
from tests.orchestrator.edge.doubles import echo, serving, web

pytestmark = [pytest.mark.integration, pytest.mark.docker]

SLEEPER = ContainerSpec(
    name="worker-1", command=("sleep", "120"), deadline_seconds=120, network=Network.EGRESS
)
GET = "GET /api/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
CONNECT = "CONNECT %s HTTP/1.1\\r\\n\\r\\n"
SECONDS = 3
#: Connects, says something, prints the first line of the answer; fails if there is no connection.
TALK = f"""
exec 3<>/dev/tcp/$1/$2 || exit 7
printf "$3" >&3
timeout {SECONDS} head -n 1 <&3
"""
#: Says whether a connection is taken; its taker need not speak.
KNOCK = "(exec 3<>/dev/tcp/$1/$2) 2>/dev/null && echo open || echo closed"
#: A container in which somebody listens.
LISTENER = (
    "perl",
    "-MIO::Socket::INET",
    "-e",
    "$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5, ReuseAddr => 1) or die; sleep 120",
)


@pytest.fixture
def installation() -> str:
    return f"t{secrets.token_hex(5)}"


@pytest.fixture
def runtime(installation: str) -> Iterator[DockerRuntime]:
    with docker_engine.installation(
        installation=installation, interface=bridge_name(installation), proxy_port=ports.PROXY
    ) as started:
        yield started


def config(installation: str, **settings: object) -> EdgeConfig:
    nowhere = Upstream(host="127.0.0.1", port=1)
    plain = EdgeConfig(
        interface=bridge_name(installation), api=nowhere, channel=nowhere, allow=AllowList(["127.0.0.1"])
    )
    return replace(plain, **settings)


async def inside(
    runtime: DockerRuntime, script: str, *arguments: object, name: str = "worker-1"
) -> tuple[int, str]:
    words = ["timeout", str(SECONDS + 2), "bash", "-c", script, "bash", *map(str, arguments)]
    done = await asyncio.to_thread(runtime.exec, name, words)
    return done.exit_code, done.output


async def test_a_container_reaches_api_channel_and_proxy_and_nothing_else(runtime, installation):
    gateway = await asyncio.to_thread(runtime.gateway)
    await asyncio.to_thread(runtime.start, SLEEPER)
    await asyncio.to_thread(runtime.start, replace(SLEEPER, name="worker-2", command=LISTENER))
    async with serving(web) as api, serving(echo) as channel:
        edge = Edge(config(installation, api=api.upstream, channel=channel.upstream))
        await edge.follow()
        assert edge.address == gateway

        asked = {
            "api": (ports.API, GET),
            "admin": (ports.API, GET.replace("/api/", "/admin/")),
            "channel": (ports.CHANNEL, "PING\\n"),
            "allowed": (ports.PROXY, CONNECT % f"127.0.0.1:{api.port}"),
            "metadata": (ports.PROXY, CONNECT % "169.254.169.254:80"),
        }
        reached = {name: await inside(runtime, TALK, gateway, *words) for name, words in asked.items()}
        peer = (await inside(runtime, "hostname -i", name="worker-2"))[1].split()[0]
        knocked = {
            "the api": await inside(runtime, KNOCK, gateway, ports.API),
            "the peer at home": await inside(runtime, KNOCK, "127.0.0.1", 8000, name="worker-2"),
            "metadata": await inside(runtime, KNOCK, "169.254.169.254", 80),
            "a public address": await inside(runtime, KNOCK, "8.8.8.8", 53),
            "a server on loopback": await inside(runtime, KNOCK, gateway, api.port),
            "a peer": await inside(runtime, KNOCK, peer, 8000),
        }
        await edge.close()

    lines = {name: output.strip() for name, (code, output) in reached.items()}
    assert lines == {
        "api": "HTTP/1.1 200 OK",
        "admin": "HTTP/1.1 403 Forbidden",
        "channel": "PING",
        "allowed": "HTTP/1.1 200 Connection established",
        "metadata": "HTTP/1.1 403 Forbidden",
    }
    taken = [name for name, (_, output) in knocked.items() if output.strip() == "open"]
    assert taken == ["the api", "the peer at home"]


async def test_the_edge_listens_again_after_the_network_was_made_anew(runtime, installation):
    edge = Edge(config(installation))
    await asyncio.to_thread(runtime.gateway)
    await edge.follow()
    first = edge.address

    await asyncio.to_thread(runtime.dissolve)
    await edge.follow()
    gone = edge.address
    await asyncio.to_thread(runtime.gateway)
    await edge.follow()
    again = edge.address

    await edge.close()
    assert first
    assert gone == ""
    assert again
