"""Doors of projects over loopback: where they lead, what is said when that is nowhere, what they survive."""

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.edge.absence import language_of, say_that_nothing_runs
from orchestrator.edge.entrance import Entrance
from orchestrator.edge.routes import Routes, RoutesUnknown
from orchestrator.edge.streams import Connection
from tests.orchestrator.edge.doubles import Script, Server, echo, say, serving

pytestmark = pytest.mark.unit

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Map:
    """The database, so to speak: routes that a test changes, and that may be away."""

    def __init__(self) -> None:
        self.port = free_port()
        self.routes: dict[int, int | None] = {self.port: None}
        self.is_away = False

    async def read(self) -> Routes:
        if self.is_away:
            raise RoutesUnknown("away")
        return dict(self.routes)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def release(name: bytes) -> Callable[[Server], Script]:
    """A release that answers with its name."""

    def script(server: Server) -> Script:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + name)
            await writer.drain()
            writer.close()

        return serve

    return script


@asynccontextmanager
async def entrance_of(found: Map) -> AsyncIterator[Entrance]:
    entrance = Entrance(found.read)
    await entrance.look()
    try:
        yield entrance
    finally:
        await entrance.doors.close()


async def test_a_door_leads_to_the_release_that_the_routes_name_now() -> None:
    found = Map()
    async with serving(release(b"old")) as old, serving(release(b"new")) as new, entrance_of(found) as door:
        found.routes[found.port] = old.port
        await door.look()
        first = await say("127.0.0.1", found.port, GET)
        found.routes[found.port] = new.port
        await door.look()

        second = await say("127.0.0.1", found.port, GET)

    assert (first[-3:], second[-3:]) == (b"old", b"new")


async def test_bytes_pass_both_ways_as_a_stream_wants_them() -> None:
    found = Map()
    async with serving(echo) as server, entrance_of(found) as door:
        found.routes[found.port] = server.port
        await door.look()
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        async with asyncio.timeout(20):
            for word in (b"\x81\x05hello", b"\x00\xff", b"again"):
                writer.write(word)

                assert await reader.readexactly(len(word)) == word
        writer.close()


async def test_no_connection_is_refused_or_led_astray_while_releases_take_turns() -> None:
    found = Map()
    answers: list[bytes] = []
    async with serving(release(b"old")) as old, serving(release(b"new")) as new, entrance_of(found) as door:
        for turn in range(20):
            found.routes[found.port] = (old, new)[turn % 2].port
            await asyncio.gather(door.look(), *(_ask(found.port, answers) for _ in range(3)))

    assert len(answers) == 60
    assert all(answer.startswith(b"HTTP/1.1 ") for answer in answers)
    assert {answer[-3:] for answer in answers[3:]} == {b"old", b"new"}


async def _ask(port: int, answers: list[bytes]) -> None:
    answers.append(await say("127.0.0.1", port, GET))


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        (b"ru-RU,ru;q=0.9,en;q=0.8", "Этот проект сейчас не запущен"),
        (b"de, en;q=0.5", "This project is not running"),
    ],
)
async def test_a_door_that_leads_nowhere_says_so_in_the_readers_language(accepted: bytes, words: str) -> None:
    found = Map()
    async with entrance_of(found):
        request = b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Language: " + accepted + b"\r\n\r\n"

        answer = await say("127.0.0.1", found.port, request)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in head
    assert words in body.decode()


@pytest.mark.parametrize("is_talking", [False, True])
async def test_whoever_does_not_hang_up_after_the_answer_is_hung_up_on(is_talking: bool) -> None:
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say_that_nothing_runs(Connection(reader=reader, writer=writer), linger_seconds=0.1)
        is_over.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        writer.write(GET)
        while is_talking and not is_over.is_set():
            writer.write(b"more")
            await asyncio.sleep(0.01)

        await is_over.wait()
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 503 ")


async def test_a_release_that_is_being_started_again_is_waited_for() -> None:
    found, port = Map(), free_port()
    found.routes[found.port] = port
    async with entrance_of(found):
        asking = asyncio.ensure_future(say("127.0.0.1", found.port, GET))
        await asyncio.sleep(0.1)
        listener = await asyncio.start_server(release(b"back")(Server()), "127.0.0.1", port)

        answer = await asking
        listener.close()

    assert answer.endswith(b"back")


async def test_the_last_map_is_kept_while_the_database_is_away() -> None:
    found = Map()
    async with serving(release(b"one")) as server, entrance_of(found) as door:
        found.routes[found.port] = server.port
        await door.look()
        found.is_away, found.routes = True, {}

        is_fresh = await door.look()

        assert not is_fresh
        assert (await say("127.0.0.1", found.port, GET)).endswith(b"one")
        found.is_away = False
        assert await door.look()
        with pytest.raises(ConnectionRefusedError):
            await say("127.0.0.1", found.port, GET)


async def test_a_strangers_port_is_told_and_taken_when_the_stranger_has_gone() -> None:
    found = Map()
    stranger = socket.create_server(("127.0.0.1", found.port))
    async with entrance_of(found) as door:
        told = door.doors.report()[str(found.port)]
        stranger.close()
        await door.look()

        assert told == {"leads_to": None, "problem": "Address already in use"}
        assert door.doors.report()[str(found.port)]["problem"] == ""


async def test_whoever_asks_is_told_what_is_true_now() -> None:
    found = Map()
    with tempfile.TemporaryDirectory() as directory:
        async with entrance_of(found) as door:
            asking = await asyncio.start_unix_server(door.tell, Path(directory) / "e.sock")
            found.routes[found.port] = 4_711

            reader, writer = await asyncio.open_unix_connection(Path(directory) / "e.sock")
            told = json.loads(await reader.read())
            writer.close()
            asking.close()

    assert told == {"is_fresh": True, "doors": {str(found.port): {"leads_to": 4_711, "problem": ""}}}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("*", "en"), ("ru", "ru"), ("en, ru", "en"), ("en;q=0.1,ru;q=0.2", "ru"), ("ru;q=x", "en")],
)
def test_the_language_is_the_one_most_wished_for(accepted: str, language: str) -> None:
    assert language_of(accepted) == language
