"""Runs git: argument lists only, a clean environment, bounded time, memory and output.

Nothing of the machine's or the user's git configuration applies: no system or
global file, no hooks, no credentials, no prompts, no network protocol.

The repository is always named (``--git-dir``), so git never goes looking for
one and its ``safe.directory`` check does not come into play. The price: the
configuration file inside the named repository is obeyed. Hence the rule that
callers name only repositories this application made itself, never a
directory an agent could write to.
"""

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from apps.errors import OrchestratorError, Unavailable

_STDERR_BYTES: Final = 65_536
_MESSAGE_CHARACTERS: Final = 2_000
_USERINFO = re.compile(r"(://)[^/@\s]+@")
_AUTHORIZATION = re.compile(r"(?i)(authorization:\s*)\S+(\s+\S+)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# The limits are set by a constant script so that no code of ours runs between
# fork and exec (Celery's ingest process has threads). Values come as arguments.
_LIMITS_SCRIPT: Final = (
    'ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; ulimit -v "$3" 2>/dev/null; shift 3; exec "$@"'
)

_ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_SSH_COMMAND": "/bin/false",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "/bin/false",
}

_CONFIGURATION: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "pack.threads=1",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "submodule.recurse=false",
)


class GitFailed(OrchestratorError):
    """Git refused or broke."""

    code = "git_failed"


class GitOutputTooLarge(GitFailed):
    """Git wrote more than the caller was ready to read."""

    code = "git_output_too_large"


class GitLimitExceeded(GitFailed):
    """Git was stopped by its limit of processor time, memory or file size."""

    code = "git_limit_exceeded"


class GitTimeout(Unavailable):
    """Git did not finish in time."""

    code = "git_timeout"


class GitMissing(Unavailable):
    """There is no git program on this machine."""

    code = "git_missing"


class DiskFull(Unavailable):
    """The disk is full."""

    code = "disk_full"


@dataclass(frozen=True, kw_only=True, slots=True)
class GitLimits:
    """What one run of git may use."""

    timeout_seconds: float = 60.0
    cpu_seconds: int = 60
    output_bytes: int = 16 * 1024 * 1024  # kept in memory; output into a file is bounded by file_bytes
    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 2 * 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class GitResult:
    """A finished run."""

    exit_code: int
    output: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """Git in one repository of ours (or in none, for ``init``)."""

    repository: Path | None = None
    limits: GitLimits = field(default_factory=GitLimits)
    durable: bool = True  # false in throw-away repositories: nothing is synced to disk
    settings: tuple[str, ...] = ()  # further configuration, ``name=value``
    inherited: tuple[int, ...] = ()  # descriptors the child keeps open, e.g. a held lock

    def run(
        self,
        *arguments: str,
        stdin: bytes | BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        environment: Mapping[str, str] | None = None,
        allowed_exits: tuple[int, ...] = (0,),
    ) -> GitResult:
        """Run one git command and wait for it.

        Args:
            arguments: the command and its arguments, without the word ``git``.
            stdin: bytes or an open file; nothing when absent.
            stdout: an open file that takes the output instead of memory.
            environment: additions to the clean environment (author, dates, index file).
            allowed_exits: exit codes that are answers, not failures.

        Raises:
            GitFailed: another exit code; the message is git's own, redacted and bounded.
            GitOutputTooLarge: more than ``limits.output_bytes`` were written.
            GitLimitExceeded: a resource limit stopped git.
            GitTimeout: ``limits.timeout_seconds`` passed; the process group was killed.
            DiskFull: there was no space left.
            GitMissing: git is not installed.

        """
        with _input_file(stdin) as source:
            process = self._start(arguments, source=source, stdout=stdout, environment=environment or {})
            try:
                output, errors = _collect(process, self.limits)
            finally:
                _end(process)
        if process.returncode not in allowed_exits:
            raise _failure(arguments, process.returncode, errors)
        return GitResult(exit_code=process.returncode, output=output)

    def text(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run a command and return its output as text without the surrounding white space."""
        return self.run(*arguments, stdin=stdin).output.decode("utf-8", "replace").strip()

    def _start(
        self,
        arguments: tuple[str, ...],
        *,
        source: BinaryIO | int,
        stdout: BinaryIO | None,
        environment: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        limits = self.limits
        bounds = (limits.cpu_seconds, limits.file_bytes // 512, limits.memory_bytes // 1024)
        command = ["/bin/sh", "-c", _LIMITS_SCRIPT, "git", *(str(bound) for bound in bounds), _program()]
        if self.repository is not None:
            command.append(f"--git-dir={self.repository}")
        synced = "committed,loose-object,reference" if self.durable else "none"
        for setting in (*_CONFIGURATION, f"core.fsync={synced}", *self.settings):
            command += ["-c", setting]
        return subprocess.Popen(
            [*command, *arguments],
            stdin=source,
            stdout=stdout if stdout is not None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={**_ENVIRONMENT, **environment},
            start_new_session=True,
            pass_fds=self.inherited,
        )


def redact(text: str) -> str:
    """Return text without credentials in URLs or headers and without control characters, bounded."""
    text = _USERINFO.sub(r"\1***@", text)
    text = _AUTHORIZATION.sub(r"\1***", text)
    return _CONTROL.sub("?", text).strip()[:_MESSAGE_CHARACTERS]


def _program() -> str:
    program = shutil.which("git")
    if program is None:
        raise GitMissing
    return program


@contextlib.contextmanager
def _input_file(stdin: bytes | BinaryIO | None) -> Iterator[BinaryIO | int]:
    if stdin is None:
        yield subprocess.DEVNULL
    elif isinstance(stdin, bytes):
        # A file, not a pipe: nobody has to write while somebody else reads.
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            yield source
    else:
        # A buffered file's position need not be its descriptor's.
        os.lseek(stdin.fileno(), stdin.tell(), os.SEEK_SET)
        yield stdin


def _collect(process: subprocess.Popen[bytes], limits: GitLimits) -> tuple[bytes, bytes]:
    deadline = time.monotonic() + limits.timeout_seconds
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, kept in ((process.stdout, output), (process.stderr, errors)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, kept)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise GitTimeout(details={"timeout_seconds": limits.timeout_seconds})
            _read_ready(selector, left)
            if len(output) > limits.output_bytes:
                raise GitOutputTooLarge(details={"limit_bytes": limits.output_bytes})
            del errors[:-_STDERR_BYTES]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise GitTimeout(details={"timeout_seconds": limits.timeout_seconds}) from error
    return bytes(output), bytes(errors)


def _read_ready(selector: selectors.BaseSelector, seconds: float) -> None:
    for key, _ in selector.select(seconds):
        chunk = os.read(key.fd, 65_536)
        if not chunk:
            selector.unregister(key.fileobj)
        key.data.extend(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _failure(arguments: tuple[str, ...], exit_code: int, errors: bytes) -> OrchestratorError:
    message = redact(errors.decode("utf-8", "replace"))
    details = {"command": arguments[0], "exit_code": exit_code, "output": message}
    if "No space left on device" in message or "Disk quota exceeded" in message:
        return DiskFull(details=details)
    # The limits' signals reach git itself, or a child whose death the shell's code reports as 128 + n.
    by_signal = abs(exit_code) % 128 if exit_code < 0 or exit_code > 129 else 0
    stopped = by_signal in (signal.SIGXCPU, signal.SIGXFSZ, signal.SIGKILL)
    if stopped or "ut of memory" in message or "File too large" in message:
        return GitLimitExceeded(details=details)
    return GitFailed(f"git {arguments[0]} failed: {message}", details=details)
