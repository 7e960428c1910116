"""Captured output: bounded, clean, line by line."""

import pytest

from worker_image.capture import MAX_LINE_BYTES, Capture, bounded

pytestmark = pytest.mark.unit


def test_short_output_is_kept_whole() -> None:
    capture = Capture(head_bytes=4, tail_bytes=8)
    for byte in b"hello world":
        capture.feed(bytes([byte]))

    assert capture.text() == "hello world"
    assert not capture.is_truncated


def test_long_output_keeps_head_and_tail_and_says_what_is_missing() -> None:
    capture = Capture(head_bytes=3, tail_bytes=3)

    capture.feed(b"abc" + b"x" * 100 + b"xyz")

    assert capture.text() == "abc\n[... 100 bytes left out ...]\nxyz"
    assert capture.is_truncated
    assert capture.total == 106


def test_lines_come_whole_however_they_were_cut() -> None:
    lines: list[str] = []
    capture = Capture(on_line=lines.append)
    for chunk in (b"on", b"e\ntw", b"o\n\n", b"x" * (MAX_LINE_BYTES + 1), b"\nlast\nunended"):
        capture.feed(chunk)

    assert lines == ["one", "two", "last"]


def test_text_has_no_nul_and_no_broken_characters() -> None:
    capture = Capture()
    capture.feed(b"a\x00\xffb")

    assert capture.text() == "a\ufffd\ufffdb"


def test_bounded_text_keeps_mostly_its_end() -> None:
    text = bounded("begin" + "x" * 1_000 + "end", 100)

    assert len(text) == 100
    assert text.startswith("begin")
    assert text.endswith("end")
