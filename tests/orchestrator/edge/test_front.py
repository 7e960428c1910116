"""The way in for people, over loopback, to a web that listens at a socket of the file system."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.edge.config import EdgeMisconfigured, Upstream
from orchestrator.edge.front import listener_of
from orchestrator.edge.listeners import Listener
from tests.orchestrator.edge.doubles import Server, edge_of, say, some_address, web

pytestmark = pytest.mark.integration


@asynccontextmanager
async def web_at(path: Path) -> AsyncIterator[Server]:
    server = Server()
    script = web(server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(reader, writer)
        writer.close()

    listener = await asyncio.start_unix_server(serve, path)
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def front_of(path: Path) -> AsyncIterator[tuple[Listener, str]]:
    front, address = listener_of({"WEB_URL": f"unix://{path}"}), some_address()
    await front.open(address, 0)
    try:
        yield front, address
    finally:
        await front.close()


async def test_a_request_arrives_with_its_host_and_its_true_source(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    async with web_at(path) as behind, front_of(path) as (front, address):
        request = b"POST /admin/login/ HTTP/1.1\r\nHost: us.example\r\nX-Forwarded-For: 9.9.9.9\r\n"

        answer = await say(address, front.port, request, b"Content-Length: 5\r\n\r\nhello")

    (received,) = behind.received
    assert answer.endswith(b"from the server")
    assert b"Host: us.example\r\n" in received
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in received
    assert b"9.9.9.9" not in received
    assert received.endswith(b"\r\n\r\nhello")


async def test_a_web_that_is_away_is_a_502_in_words(tmp_path: Path) -> None:
    async with front_of(tmp_path / "nobody.sock") as (front, address):
        answer = await say(address, front.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"The control plane is not reachable at the moment" in answer


async def test_workers_reach_an_api_that_listens_at_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    upstream = Upstream.parse(f"unix://{path}", setting="WORKERS_API_URL")
    async with web_at(path) as behind, edge_of(api=upstream) as edge:
        answer = await say(edge.address, edge.ports.api, b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.endswith(b"from the server")
    assert b"Host: localhost:80\r\n" in behind.received[0]


async def test_whoever_watches_the_edge_is_told_at_every_look() -> None:
    looks: list[str] = []
    async with edge_of() as edge:
        running = asyncio.ensure_future(
            edge.run(looked=lambda: looks.append("first"), alive=lambda: looks.append("alive"))
        )
        async with asyncio.timeout(20):
            while len(looks) < 3:
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert looks[:3] == ["first", "alive", "alive"]


@pytest.mark.parametrize("url", ["", "unix:///", "web.sock"])
def test_without_an_address_of_the_web_it_does_not_start(url: str) -> None:
    with pytest.raises(EdgeMisconfigured, match="WEB_URL"):
        listener_of({"WEB_URL": url})
