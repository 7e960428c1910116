"""The edge over loopback: relays, tunnels, refusals, limits, and a gateway that comes and goes."""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.edge.addresses import AllowList
from orchestrator.edge.config import EdgeConfig, Upstream
from orchestrator.edge.gate import Limits
from orchestrator.edge.listeners import LIMITS, Edge
from orchestrator.edge.resolver import Resolver
from tests.orchestrator.edge.doubles import echo, edge_of, lookup_of, say, serving, web

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
CONNECT_MIRROR = b"CONNECT mirror.corp:%d HTTP/1.1\r\nHost: mirror.corp\r\n\r\n"


# --- The API ----------------------------------------------------------------


async def test_an_api_request_arrives_under_the_api_s_name_and_from_its_true_source():
    async with serving(web) as api, edge_of(api=api.upstream) as edge:
        request = b"POST /api/worker/snapshots HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n"

        answer = await say(edge.address, edge.ports.api, request, b"Content-Length: 5\r\n\r\nhello")

        assert answer.endswith(b"from the server")
        (received,) = api.received
        assert received.startswith(b"POST /api/worker/snapshots HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{api.port}".encode() in received
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in received
        assert received.endswith(b"\r\n\r\nhello")


async def test_a_body_in_chunks_arrives_whole():
    async with serving(web) as api, edge_of(api=api.upstream) as edge:
        head = b"POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

        answer = await say(edge.address, edge.ports.api, head, b"5;ext=1\r\nhello\r\n", b"0\r\nT: 1\r\n\r\n")

        assert answer.endswith(b"from the server")
        assert api.received[0].endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        *("/admin/", "/", "/static/x", "/apix", "//api/", "http://x/api/"),
        *("/api/../admin/", "/api/%2e%2E/admin/", "/api/.%2e/admin/"),
    ],
)
async def test_nothing_but_the_api_is_reached(path):
    async with serving(web) as api, edge_of(api=api.upstream) as edge:
        answer = await say(edge.address, edge.ports.api, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 403 ")
        assert api.received == []


async def test_a_second_request_on_one_connection_is_not_passed_on():
    async with serving(web) as api, edge_of(api=api.upstream) as edge:
        first = b"GET /api/a HTTP/1.1\r\nHost: x\r\n\r\n"
        second = b"GET /admin/ HTTP/1.1\r\nHost: x\r\n\r\n"

        answer = await say(edge.address, edge.ports.api, first + second)

        assert answer.count(b"HTTP/1.1") == 1
        assert len(api.received) == 1
        assert b"/admin/" not in api.received[0]


async def test_an_api_that_is_down_is_a_502_that_says_so():
    async with edge_of() as edge:
        answer = await say(edge.address, edge.ports.api, b"GET /api/ HTTP/1.1\r\nHost: x\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"The control plane's API is not reachable" in answer


# --- The channel ------------------------------------------------------------


async def test_the_channel_gets_every_byte_both_ways():
    payload = os.urandom(3_000_000)
    async with serving(echo) as channel, edge_of(channel=channel.upstream) as edge:
        reader, writer = await asyncio.open_connection(edge.address, edge.ports.channel)
        sending = asyncio.ensure_future(_send(writer, payload))

        answer = await asyncio.wait_for(reader.read(), 30)

        await sending
        assert answer == payload
        writer.close()


async def _send(writer: asyncio.StreamWriter, payload: bytes) -> None:
    writer.write(payload)
    await writer.drain()
    writer.write_eof()


async def test_a_channel_that_is_down_closes_the_connection():
    async with edge_of() as edge:
        assert await say(edge.address, edge.ports.channel, b"PING\r\n") == b""


# --- The proxy --------------------------------------------------------------


async def test_a_tunnel_to_an_allowed_address_carries_bytes_and_their_end():
    async with (
        serving(echo) as mirror,
        edge_of(allow=["127.0.0.1"], resolver=lookup_of({"mirror.corp": ["127.0.0.1"]})) as edge,
    ):
        reader, writer = await asyncio.open_connection(edge.address, edge.ports.proxy)
        writer.write(CONNECT_MIRROR % mirror.port + b"early")

        established = await reader.readuntil(b"\r\n\r\n")
        first = await reader.readexactly(5)
        writer.write_eof()

        assert established.startswith(b"HTTP/1.1 200 ")
        assert first == b"early"
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_plain_request_is_passed_on_without_the_proxy_s_headers():
    async with (
        serving(web) as mirror,
        edge_of(allow=["127.0.0.1"], resolver=lookup_of({"mirror.corp": ["127.0.0.1"]})) as edge,
    ):
        url = f"http://mirror.corp:{mirror.port}/deb/x?y=1"
        request = f"GET {url} HTTP/1.1\r\nHost: evil\r\nProxy-Connection: keep-alive\r\n\r\n"

        answer = await say(edge.address, edge.ports.proxy, request.encode())

        assert answer.endswith(b"from the server")
        expected = f"GET /deb/x?y=1 HTTP/1.1\r\nHost: mirror.corp:{mirror.port}\r\nConnection: close\r\n\r\n"
        assert mirror.received == [expected.encode()]


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        (["10.1.2.3"], b"WORKERS_EGRESS_ALLOW=mirror.corp:443"),
        (["169.254.169.254"], b"by its address (not its name) in WORKERS_EGRESS_ALLOW"),
        (["127.0.0.1"], b"an address of this machine"),
        (["::ffff:127.0.0.1"], b"an address of this machine"),
    ],
)
async def test_a_refusal_says_what_why_and_what_the_operator_can_set(addresses, words):
    async with edge_of(resolver=lookup_of({"mirror.corp": addresses})) as edge:
        answer = await say(edge.address, edge.ports.proxy, CONNECT_MIRROR % 443)

        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"mirror.corp:443" in answer
        assert words in answer
        assert addresses[0].encode() not in answer


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost", "[::1]", "[::ffff:7f00:1]"])
async def test_no_spelling_of_this_machine_is_reached(host):
    async with serving(echo) as server, edge_of() as edge:
        request = f"CONNECT {host}:{server.port} HTTP/1.1\r\n\r\n".encode()

        answer = await say(edge.address, edge.ports.proxy, request)

        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 502 "))
        assert server.received == []


async def test_a_name_is_resolved_once_so_a_second_answer_changes_nothing():
    answers = [["127.0.0.1"], ["127.0.0.9"]]
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    async with (
        serving(echo) as mirror,
        edge_of(allow=["127.0.0.1"], resolver=Resolver(lookup=rebinding)) as edge,
    ):
        answer = await say(
            edge.address, edge.ports.proxy, CONNECT_MIRROR % mirror.port, b"x", until_closed=False
        )

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert asked == ["mirror.corp"]


async def test_of_several_addresses_only_the_permitted_ones_are_tried():
    names = {"mirror.corp": ["10.255.255.1", "127.0.0.1"]}
    async with serving(echo) as mirror, edge_of(allow=["127.0.0.1"], resolver=lookup_of(names)) as edge:
        answer = await say(edge.address, edge.ports.proxy, CONNECT_MIRROR % mirror.port, until_closed=False)

        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_without_egress_nothing_is_even_asked_for():
    asked: list[str] = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with edge_of(allow=["127.0.0.1"], is_open=False, resolver=Resolver(lookup=lookup)) as edge:
        answer = await say(edge.address, edge.ports.proxy, CONNECT_MIRROR % 443)

        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"WORKERS_EGRESS=none" in answer
        assert asked == []


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("CONNECT mirror.corp HTTP/1.1", 400),
        ("CONNECT mirror.corp:0 HTTP/1.1", 400),
        ("CONNECT mirror.corp:99999 HTTP/1.1", 400),
        ("CONNECT mirror.corp:25 HTTP/1.1", 403),
        ("CONNECT user@mirror.corp:443 HTTP/1.1", 400),
        ("CONNECT [fe80::1%25eth0]:443 HTTP/1.1", 400),
        ("CONNECT mir\xf6r:443 HTTP/1.1", 400),
        ("GET /path HTTP/1.1", 400),
        ("GET https://mirror.corp/ HTTP/1.1", 400),
        ("GET http://user:pw@mirror.corp/ HTTP/1.1", 400),
        ("CONNECT unknown.example:443 HTTP/1.1", 502),
        ("CONNECT mirror.corp:1 HTTP/1.1", 502),
    ],
)
async def test_a_request_that_cannot_be_served_gets_an_honest_status(request_line, status):
    names = {"mirror.corp": ["127.0.0.1"]}
    async with edge_of(allow=["127.0.0.1"], resolver=lookup_of(names)) as edge:
        raw = f"{request_line}\r\n\r\n".encode("latin-1")

        answer = await say(edge.address, edge.ports.proxy, raw)

        assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_name_that_never_answers_is_a_504_and_does_not_block_other_sources():
    blocked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def lookup(host: str) -> list[str]:
        if host == "slow.example":
            asyncio.run_coroutine_threadsafe(blocked.wait(), loop).result(timeout=20)
        return ["127.0.0.1"]

    resolver = Resolver(lookup=lookup, seconds=0.5)
    slow = [asyncio.ensure_future(resolver.resolve("slow.example", source="bad")) for _ in range(12)]

    found = await resolver.resolve("mirror.corp", source="good")
    ended = await asyncio.gather(*slow, return_exceptions=True)

    blocked.set()
    assert [str(address) for address in found] == ["127.0.0.1"]
    assert {getattr(error, "code", None) for error in ended} == {504}


async def test_eight_sources_with_names_that_never_answer_do_not_block_a_ninth():
    blocked = threading.Event()

    def lookup(host: str) -> list[str]:
        if host == "slow.example":
            blocked.wait(20)
        return ["127.0.0.1"]

    resolver = Resolver(lookup=lookup, seconds=5, sources=9)
    slow = [
        asyncio.ensure_future(resolver.resolve("slow.example", source=f"bad {number % 8}"))
        for number in range(64)
    ]
    await asyncio.sleep(0.2)

    try:
        found = await resolver.resolve("mirror.corp", source="good")
    finally:
        blocked.set()

    await asyncio.gather(*slow, return_exceptions=True)
    assert [str(address) for address in found] == ["127.0.0.1"]


# --- Limits and deadlines ---------------------------------------------------


async def test_a_source_over_its_limit_is_told_and_gets_in_again_later(monkeypatch):
    monkeypatch.setitem(LIMITS, "proxy", Limits(total=10, per_source=2))
    async with edge_of(head_seconds=30.0) as edge:
        held = [await asyncio.open_connection(edge.address, edge.ports.proxy) for _ in range(2)]
        await asyncio.sleep(0.2)

        refused = await say(edge.address, edge.ports.proxy, CONNECT_MIRROR % 443)
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.2)
        later = await say(edge.address, edge.ports.proxy, b"GET / HTTP/1.1\r\n\r\n")

        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"One address may hold 2 connections" in refused
        assert later.startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_says_nothing_is_cut_off():
    async with edge_of(head_seconds=0.2) as edge:
        answer = await say(edge.address, edge.ports.proxy, b"CONNECT ")

        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_tunnel_in_which_nothing_moves_is_closed():
    names = {"mirror.corp": ["127.0.0.1"]}
    async with (
        serving(echo) as mirror,
        edge_of(allow=["127.0.0.1"], resolver=lookup_of(names), idle_seconds=0.3) as edge,
    ):
        answer = await say(edge.address, edge.ports.proxy, CONNECT_MIRROR % mirror.port)

        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"


# --- The gateway ------------------------------------------------------------


async def test_the_edge_follows_a_gateway_that_comes_moves_and_goes(monkeypatch):
    places = iter(["", "127.88.1.1", "127.88.1.1", "127.88.1.2", ""])
    monkeypatch.setattr("orchestrator.edge.listeners.address_of", lambda _: next(places))
    nowhere = Upstream(host="127.0.0.1", port=1)
    edge = Edge(EdgeConfig(interface="cg-x", api=nowhere, channel=nowhere, allow=AllowList()))

    seen = []
    for _ in range(5):
        await edge.follow()
        seen.append((edge.address, edge.ports.api))

    assert seen == [("", 0), ("127.88.1.1", 7311), ("127.88.1.1", 7311), ("127.88.1.2", 7311), ("", 0)]


async def test_the_process_says_it_is_ready_waits_for_its_bridge_and_stops_at_once(tmp_path):
    (tmp_path / "run" / "ready").mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "VAR_DIR": str(tmp_path),
        "STACK_NAME": "edge",
        "SECRET_KEY": "x",
        "WORKERS_INSTALLATION": "no such one",
        "WORKERS_API_URL": "http://127.0.0.1:8000",
        "CHANNEL_REDIS_URL": "redis://:topsecret@127.0.0.1:6379/0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator.edge"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        while not (tmp_path / "run" / "ready" / "edge").exists():
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()

    lines = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0
    assert [line["event"] for line in lines] == ["edge_waits"]
    assert b"topsecret" not in output
