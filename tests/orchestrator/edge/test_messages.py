"""Requests as strangers write them: what is read, what is refused, what the server behind us gets to see."""

import asyncio

import pytest

from orchestrator.edge.answers import Refused, answer
from orchestrator.edge.messages import parse_head, read_head

pytestmark = pytest.mark.unit


def head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    "raw",
    [
        head("GET /"),
        head("GET / HTTP/2.0"),
        head("get / HTTP/1.1"),
        head("GET  / HTTP/1.1"),
        head("GET / HTTP/1.1", "no colon"),
        head("GET / HTTP/1.1", " Folded: line"),
        head("GET / HTTP/1.1", "Bad Name: x"),
        head("GET / HTTP/1.1", "X: a\nSmuggled: b"),
        head("GET / HTTP/1.1", "X: a\0b"),
        head("GET /\t HTTP/1.1"),
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_what_is_not_a_plain_request_is_refused(raw):
    with pytest.raises(Refused) as caught:
        parse_head(raw)

    assert caught.value.code == 400


def test_the_server_sees_its_own_name_one_exchange_and_the_true_source():
    parsed = parse_head(
        head(
            "POST /api/x?y=1 HTTP/1.1",
            "Host: evil.example",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
            "Forwarded: for=127.0.0.1",
            "Proxy-Authorization: Basic eA==",
            "Authorization: Worker abc",
            "Content-Length: 3",
            "Upgrade: websocket",
        )
    )

    raw = parsed.rewritten(target=parsed.target, host="127.0.0.1:8000", source="172.18.0.9")

    assert raw.decode().split("\r\n") == [
        "POST /api/x?y=1 HTTP/1.1",
        "Host: 127.0.0.1:8000",
        "Connection: close",
        "Content-Length: 3",
        "X-Forwarded-For: 172.18.0.9",
        "Authorization: Worker abc",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 1", "Content-Length: 2"),
        ("Content-Length: +1",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
def test_a_body_of_two_lengths_is_refused(headers):
    with pytest.raises(Refused) as caught:
        _ = parse_head(head("POST / HTTP/1.1", *headers)).body_bytes

    assert caught.value.code == 400


async def test_a_head_that_never_ends_is_refused_by_time_and_by_size():
    slow, endless = asyncio.StreamReader(limit=1_000), asyncio.StreamReader(limit=1_000)
    slow.feed_data(b"GET / HTTP/1.1\r\n")
    endless.feed_data(b"GET / HTTP/1.1\r\nX: " + b"y" * 5_000)

    with pytest.raises(Refused) as by_time:
        await read_head(slow, seconds=0.05)
    with pytest.raises(Refused) as by_size:
        await read_head(endless, seconds=5)

    assert (by_time.value.code, by_size.value.code) == (408, 431)


async def test_a_client_that_leaves_without_a_word_is_no_error():
    silent = asyncio.StreamReader()
    silent.feed_eof()

    assert await read_head(silent) is None


def test_an_answer_says_who_gave_it_and_closes_the_connection():
    raw = answer(403, "No.")

    assert raw.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Connection: close\r\n" in raw
    assert b"X-Refused-By: codegen-edge\r\n" in raw
    assert raw.endswith(b"Content-Length: 4\r\nConnection: close\r\nX-Refused-By: codegen-edge\r\n\r\nNo.\n")
