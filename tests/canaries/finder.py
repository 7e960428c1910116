"""Finds canaries in anything: as they are, encoded, escaped, or broken over lines.

The haystack is a directory. A text is kept twice in it: as it is, and without
all that may stand between the pieces of a value that was broken or escaped.
"""

import base64
import html
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from tests.canaries.values import Canary

#: Shorter pieces are found by chance.
SHORTEST_BYTES: Final = 8
#: Lines that every value of a shape has.
_COMMON: Final = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----")
_BREAKS: Final = (b"\\n", b"\\r", b"\\t", b"\\x0a", b"\\u000a")
_BETWEEN: Final = b" \t\r\n\v\f\\\"',+"


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """A canary in a place; the value is not told."""

    canary: str
    place: str


class Haystack:
    """A directory of places, each a directory with the texts that were found there."""

    def __init__(self, directory: Path, canaries: Iterable[Canary]) -> None:
        self._directory = directory
        self._needles = {needle: one.name for one in canaries for needle in needles(one.value)}
        self._count = 0

    def add(self, place: str, content: bytes, *, about: str = "") -> None:
        """Let a text be searched.

        Args:
            place: the kind of place, a word.
            content: what stands there.
            about: which of the place's texts it is.
        """
        self._count += 1
        target = self._directory / place / f"{self._count}-{about.replace('/', '_')[-120:]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content + b"\n" + squeezed(content) + b"\n")

    def findings(self) -> set[Finding]:
        """Search everything that was added."""
        return {Finding(name, path.parts[0]) for name, path in self.traces()}

    def traces(self) -> Iterator[tuple[str, Path]]:
        """Yield the canaries with the texts that hold them."""
        patterns = self._directory.with_name(f"{self._directory.name}.needles")
        patterns.write_bytes(b"\n".join(sorted(self._needles)) + b"\n")
        for path, needle in grep(self._directory, patterns):
            yield self._needles[needle], path.relative_to(self._directory)

    def raw(self, directory: Path, *, without: Iterable[str] = ()) -> set[str]:
        """Search files where they are, as they are; returns the canaries that stand in them."""
        patterns = self._directory.with_name(f"{self._directory.name}.needles")
        patterns.write_bytes(b"\n".join(sorted(self._needles)) + b"\n")
        return {self._needles[needle] for _, needle in grep(directory, patterns, without=without)}


def needles(value: str) -> set[bytes]:
    """Return everything that a value may look like, each without a line break."""
    pieces = [value, *(line for line in value.splitlines() if line not in _COMMON)]
    found: set[bytes] = set()
    for piece in pieces:
        for form in _forms(piece):
            found |= {form, squeezed(form)}
            found |= set(_encoded(form))
    return {one for one in found if len(one) >= SHORTEST_BYTES and b"\n" not in one}


def squeezed(content: bytes) -> bytes:
    """Return a text without line breaks, spaces, quotes, commas, and the signs that escape them."""
    for mark in _BREAKS:
        content = content.replace(mark, b"")
    return content.translate(None, delete=_BETWEEN)


def _forms(text: str) -> set[bytes]:
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    quoted = {quote(text), quote(text, safe=""), quote_plus(text), html.escape(text)}
    return {one.encode() for one in {text, *escaped, *quoted}}


def _encoded(form: bytes) -> Iterator[bytes]:
    yield form.hex().encode()
    yield form.hex().upper().encode()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + form).rstrip(b"=")
        # The first and the last signs also tell of what stands beside the value.
        inner = coded[(0, 2, 3)[shift] : len(coded) - (1 if (shift + len(form)) % 3 else 0)]
        yield inner
        yield squeezed(inner)
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def grep(directory: Path, patterns: Path, *, without: Iterable[str] = ()) -> Iterator[tuple[Path, bytes]]:
    """Yield every place below a directory where a line of a file of fixed patterns stands."""
    program = shutil.which("grep")
    assert program is not None
    options = ["-r", "-F", "-a", "-o", "--null", f"--file={patterns}"]
    options += [f"--exclude-dir={name}" for name in without]
    ended = subprocess.run(
        [program, *options, "--", str(directory)],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    # 1: nothing was found; 2: a file vanished meanwhile, or could not be read.
    assert ended.returncode in (0, 1) or all(
        b"No such file" in line or b"No such device" in line for line in ended.stderr.splitlines()
    ), ended.stderr[-500:]
    for line in ended.stdout.splitlines():
        path, _, needle = line.partition(b"\0")
        yield Path(os.fsdecode(path)), needle
