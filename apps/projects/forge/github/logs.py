"""Reads logs of any size from their end of interest: in bounded memory, redacted, without colours.

A job's log is one text: every line begins with its time, every ``run`` step with
``##[group]Run``, and a failing one ends with the exit code. Steps have times of
whole seconds, so the time alone would mix neighbours.
"""

import re
import tempfile
import time
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

import requests

from apps.errors import OrchestratorError
from apps.projects.forge.base import ForgeUnavailable
from apps.projects.forge.github.transport import TIMEOUT_SECONDS
from apps.projects.git import redact

LINES: Final = 40
_MAX_BYTES: Final = 512 * 1024 * 1024
_MAX_SECONDS: Final = 90.0
_CHUNK: Final = 64 * 1024
_LINE_CHARACTERS: Final = 2_000

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TIME = re.compile(r"\ufeff?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ?")
_STEP_BEGINS: Final = "##[group]Run "
_STEP_ENDS = re.compile(r"##\[error\](Process completed with exit code|The operation was canceled)")


class LogUnusable(OrchestratorError):
    """The log is there and cannot be read."""

    code = "log_unusable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When a step ran: whole seconds of ISO 8601 without the zone, empty when unknown."""

    begins: str = ""
    ends: str = ""

    def holds(self, moment: str) -> bool:
        """Tell whether a moment of the same form lies inside."""
        return (not self.begins or self.begins <= moment) and (not self.ends or moment <= self.ends)


def window_of(step: Mapping[str, object]) -> Window:
    """Return when a step ran, from the host's words about it."""
    begins, ends = (str(step.get(key) or "")[:19] for key in ("started_at", "completed_at"))
    return Window(begins=begins, ends=ends)


def excerpt_of(lines: Iterable[str], window: Window, *, limit: int) -> str:
    """Return the last lines that the step of a window printed.

    Args:
        lines: of a job's log; read once, none is kept but the last ones.
        window: of the step.
        limit: of the result, in bytes.

    """
    kept: deque[str] = deque(maxlen=LINES)
    for line in lines:
        moment = _TIME.match(line)
        if moment is not None and not window.holds(moment[1]):
            continue
        text = _COLOUR.sub("", line[moment.end() :] if moment else line)[:_LINE_CHARACTERS]
        if text.startswith(_STEP_BEGINS):
            kept.clear()
        kept.append(redact(text.rstrip()) if text.strip() else "")
        if _STEP_ENDS.match(text):
            break
    return "\n".join(kept).strip().encode()[-limit:].decode(errors="ignore")


@contextmanager
def downloaded(address: str) -> Iterator[IO[bytes]]:
    """Offer what lies at an address as a file; it is on the disk, not in the memory, and then gone.

    The address carries its own permission for a minute, so no credential goes with the request.

    Raises:
        ForgeUnavailable: it does not answer.
        LogUnusable: it is too large, or comes too slowly.

    """
    with tempfile.TemporaryFile() as file:
        try:
            with requests.get(address, stream=True, timeout=TIMEOUT_SECONDS, allow_redirects=True) as answer:
                if answer.status_code != 200:
                    raise ForgeUnavailable(f"GitHub's log store answers {answer.status_code}")
                _copy(answer.iter_content(_CHUNK), file)
        except requests.RequestException as error:
            raise ForgeUnavailable(f"GitHub's log store does not answer ({type(error).__name__})") from error
        file.seek(0)
        yield file


def lines_of(file: IO[bytes]) -> Iterator[str]:
    """Yield the lines of a text, overlong ones cut."""
    rest = b""
    while chunk := file.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line[: 4 * _LINE_CHARACTERS].decode("utf-8", "replace")
        rest = rest[: 4 * _LINE_CHARACTERS]
    if rest:
        yield rest.decode("utf-8", "replace")


@contextmanager
def opened_log(file: IO[bytes], *, job: str, step: int) -> Iterator[IO[bytes]]:
    """Offer the text of one step, else of its whole job, out of what was downloaded: a text or a zip.

    Args:
        file: at its beginning.
        job: its name, as in the names of the zip's files.
        step: its number.

    Raises:
        LogUnusable: the zip is damaged or does not hold the job.

    """
    if file.read(2) != b"PK":
        file.seek(0)
        yield file
        return
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_entry(archive, job, step)) as text:
            yield text
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise LogUnusable("GitHub's zip of logs cannot be read") from error


def _entry(archive: zipfile.ZipFile, job: str, step: int) -> str:
    # The host leaves out of file names what file systems do not take.
    plain = re.sub(r'[/\\:*?"<>|]', "", job)
    names = archive.namelist()
    of_step = [name for name in names if name.startswith((f"{plain}/{step}_", f"{job}/{step}_"))]
    of_job = [name for name in names if re.fullmatch(rf"-?\d+_{re.escape(plain)}\.txt", name)]
    if not of_step and not of_job:
        raise KeyError(job)
    return (of_step or of_job)[0]


def _copy(chunks: Iterable[bytes], file: IO[bytes]) -> None:
    until, size = time.monotonic() + _MAX_SECONDS, 0
    for chunk in chunks:
        file.write(chunk)
        size += len(chunk)
        if size > _MAX_BYTES or time.monotonic() > until:
            raise LogUnusable("GitHub's log is too large, or comes too slowly", details={"bytes": size})
