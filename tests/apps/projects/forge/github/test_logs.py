"""Logs of any size: the last words of the failed step, in bounded memory."""

import io
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.projects.forge.base import ForgeUnavailable
from apps.projects.forge.github import jobs, logs
from apps.projects.forge.github.logs import Window, excerpt_of, lines_of, opened_log, window_of

pytestmark = pytest.mark.unit

STEP = Window(begins="2026-01-02T03:04:05", ends="2026-01-02T03:04:09")


def line(second: int, text: str) -> str:
    return f"2026-01-02T03:04:{second:02}.1234567Z {text}"


def excerpt(*lines: str, window: Window = STEP, limit: int = 8_000) -> str:
    return excerpt_of(lines, window, limit=limit)


def test_words_of_other_steps_stay_out():
    found = excerpt(
        line(1, "##[group]Run make setup"),
        line(1, "installed"),
        line(5, "##[group]Run make check"),
        line(6, "E   assert 1 == 2"),
        line(9, "##[error]Process completed with exit code 1."),
        line(9, "Post job cleanup."),
        line(30, "Cleaning up orphan processes"),
    )

    assert found == "##[group]Run make check\nE   assert 1 == 2\n##[error]Process completed with exit code 1."


def test_neighbours_of_the_same_second_stay_out():
    found = excerpt(
        line(5, "##[group]Run make setup"),
        line(5, "installed"),
        line(5, "##[group]Run make check"),
        line(5, "boom"),
        line(5, "##[error]Process completed with exit code 2."),
        line(5, "##[group]Run always"),
        line(5, "tidied up"),
    )

    assert "installed" not in found
    assert "tidied up" not in found
    assert "boom" in found


def test_only_the_last_forty_lines_are_kept():
    found = excerpt(*(line(6, f"line {number}") for number in range(1_000)))

    assert found.splitlines() == [f"line {number}" for number in range(960, 1_000)]


def test_colours_controls_and_credentials_are_removed():
    found = excerpt(
        line(6, "\x1b[31mred\x1b[0m and \x07bell"),
        line(6, "https://user:hunter2@host.example/x"),
        line(6, "Authorization: Basic aHVudGVyMg=="),
    )

    assert found.splitlines()[0] == "red and ?bell"
    assert "hunter2" not in found
    assert "aHVudGVyMg" not in found


def test_excerpt_is_bounded_in_bytes_and_stays_text():
    found = excerpt(*(line(6, "ж" * 500) for _ in range(40)), limit=1_001)

    assert len(found.encode()) <= 1_001
    assert set(found) <= {"ж", "\n"}


def test_lines_without_times_are_all_of_the_step():
    assert excerpt("first", "second") == "first\nsecond"


def test_step_without_times_is_the_end_of_the_log():
    assert excerpt(line(1, "a"), line(59, "b"), window=Window()) == "a\nb"


@pytest.mark.parametrize(
    ("step", "window"),
    [
        (
            {"started_at": "2026-01-02T03:04:05Z", "completed_at": "2026-01-02T03:04:09Z"},
            STEP,
        ),
        ({"started_at": None}, Window()),
        ({}, Window()),
    ],
)
def test_window_is_of_whole_seconds(step, window):
    assert window_of(step) == window


def test_overlong_lines_are_cut_and_bad_bytes_replaced():
    text = io.BytesIO(b"x" * 10_000_000 + b"\n\xff\xfe\nlast")

    found = list(lines_of(text))

    assert [len(found[0]) <= 8_000, found[1:]] == [True, ["\ufffd\ufffd", "last"]]


def zipped(**files: str) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    file.seek(0)
    return file


def read(file: io.BytesIO, *, job: str = "check", step: int = 2) -> bytes:
    with opened_log(file, job=job, step=step) as text:
        return text.read()


def test_zip_is_opened_at_the_step_else_at_the_job():
    files = {"check/1_Set up.txt": "a", "check/2_Run.txt": "b", "0_check.txt": "whole", "1_lint.txt": "c"}

    assert read(zipped(**files)) == b"b"
    assert read(zipped(**files), step=9) == b"whole"
    assert read(zipped(**{"0_a  b.txt": "odd"}), job="a / b") == b"odd"
    assert read(io.BytesIO(b"plain")) == b"plain"
    assert read(io.BytesIO(b"")) == b""


@pytest.mark.parametrize("file", [zipped(**{"0_lint.txt": "c"}), io.BytesIO(b"PK\x03\x04 and no more")])
def test_zip_that_cannot_be_used_is_unusable(file):
    with pytest.raises(logs.LogUnusable):
        read(file)


@pytest.fixture
def store() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A log store that streams 60 MB, and what it was asked with."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            if self.path != "/log":
                self.send_error(410)
                return
            self.send_response(200)
            self.end_headers()
            noise = (line(6, "n" * 950) + "\n").encode() * 64
            for _ in range(1_000):
                self.wfile.write(noise)
            self.wfile.write(line(9, "##[error]Process completed with exit code 1.").encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_log_of_sixty_megabytes_takes_little_memory_and_no_credential(store):
    address, asked = store
    tracemalloc.start()
    begun = time.monotonic()

    with logs.downloaded(f"{address}/log") as file, opened_log(file, job="check", step=1) as text:
        found = excerpt_of(lines_of(text), STEP, limit=8_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.endswith("##[error]Process completed with exit code 1.")
    assert peak < 5 * 1024 * 1024
    assert time.monotonic() - begun < 60
    assert "Authorization" not in asked[0]


def test_log_that_is_gone_or_nowhere_is_unavailable(store):
    address, _ = store

    for where in (f"{address}/gone", "http://127.0.0.1:1/log"):
        with pytest.raises(ForgeUnavailable), logs.downloaded(where):
            pass


def test_log_that_is_too_large_leaves_the_outcome_and_says_so(store, monkeypatch):
    address, _ = store
    monkeypatch.setattr(logs, "_MAX_BYTES", 1_000_000)
    step = {"name": "Test", "number": 1, "conclusion": "failure"}

    assert "too large" in jobs._excerpt(f"{address}/log", "check", step, 8_000)
