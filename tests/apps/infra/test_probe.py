"""The smoke test against services that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from apps.infra.probe import probe

pytestmark = pytest.mark.unit


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Answer one connection with raw parts; returns the URL."""
    listeners, threads = [], []

    def make(*parts: bytes, pause: float = 0.0, endless: bytes = b"") -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    for part in parts:
                        connection.sendall(part)
                        time.sleep(pause)
                    while endless:
                        connection.sendall(endless)
            except OSError:
                return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/health"

    yield make
    for listener in listeners:
        listener.close()
    for thread in threads:
        thread.join(5)


def test_200_is_healthy_and_its_body_is_kept(serve):
    result = probe(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    assert result.is_healthy
    assert (result.status, result.body, result.error) == (200, "ok", "")
    assert result.as_json()["status"] == 200


@pytest.mark.parametrize("status", [b"204 No Content", b"302 Found", b"404 Not Found", b"500 Error"])
def test_anything_else_is_not(serve, status):
    result = probe(serve(b"HTTP/1.1 " + status + b"\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"))

    assert not result.is_healthy
    assert result.status == int(status[:3])


def test_nobody_there_is_a_result():
    result = probe("http://127.0.0.1:1/")

    assert (result.status, result.error) == (None, "ConnectError")


def test_words_that_are_not_http_are_a_result(serve):
    result = probe(serve(b"SSH-2.0-OpenSSH\r\n"))

    assert (result.is_healthy, result.error) == (False, "RemoteProtocolError")


def test_silence_is_a_result(serve):
    result = probe(serve(b"HTTP/1.1 200", pause=1.0), timeout_seconds=0.2)

    assert (result.is_healthy, result.error) == (False, "ReadTimeout")


def test_address_that_is_none_is_a_result():
    result = probe("http://127.0.0.1:1/\x00")

    assert (result.is_healthy, result.error) == (False, "InvalidURL")


def test_endless_answer_is_read_only_at_its_beginning(serve):
    began = time.monotonic()

    result = probe(serve(b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65536))

    assert len(result.body) == 500
    assert time.monotonic() - began < 2


def test_answer_that_drips_is_cut_off(serve):
    began = time.monotonic()

    result = probe(serve(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 40, pause=0.05), timeout_seconds=0.3)

    assert result.status == 200
    assert time.monotonic() - began < 1.5


def test_bytes_that_are_no_text_are_shown_as_such(serve):
    result = probe(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe"))

    assert result.body == "\ufffd\ufffd"
