"""One run of the agent's command: its own process group, bounded output, a deadline, no survivors."""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from worker_image import processes
from worker_image.capture import Capture
from worker_image.runners.base import COMMON_ENVIRONMENT, PACKAGE_ENVIRONMENT, AgentRunner

READ_BYTES = 64 * 1024
DRAIN_SECONDS = 2.0
"""How long output may still come from processes that outlive the agent."""
STOP_GRACE_SECONDS = 0.5
FIXED_ENVIRONMENT: Mapping[str, str] = {
    "PYTHONNOUSERSITE": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    # The directory may belong to another user than the agent's.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}


@dataclass(slots=True)
class AgentRun:
    """What happened when the command ran."""

    stdout: Capture
    stderr: Capture
    pid: int | None = None
    """Of the command, as long as it is ours to watch."""
    exit_code: int | None = None
    """None if it never started or was ended by us."""
    is_timeout: bool = False
    start_error: str | None = None
    """Why the command could not be started."""
    duration_ms: int = 0
    _began: float = field(default_factory=time.monotonic)

    def stop_clock(self) -> None:
        """Record how long it took."""
        self.duration_ms = int((time.monotonic() - self._began) * 1000)


def agent_environment(
    variables: Mapping[str, str], runner: AgentRunner, *, granted: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return the agent's whole environment: its allow-list, what the operator granted, and our own values.

    `REDIS_URL` is in no list, and cannot be granted.
    """
    names = (COMMON_ENVIRONMENT | runner.environment | granted) - {"REDIS_URL"}
    chosen = {name: variables[name] for name in sorted(names) if name in variables}
    # A registry with a password in its address is the wrapper's business at most.
    packages = {
        name: value for name, value in variables.items() if name in PACKAGE_ENVIRONMENT and "@" not in value
    }
    return {**packages, **chosen, **FIXED_ENVIRONMENT, **runner.extra_environment()}


async def run_agent(
    run: AgentRun,
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
) -> None:
    """Run the command to its end or its deadline, filling `run`; afterwards nothing it started is alive.

    A cancelled call ends the agent too.
    """
    others = frozenset(item.pid for item in processes.descendants(os.getpid()))
    async with _Pipe() as stdout, _Pipe() as stderr:
        try:
            process = await _start(command, directory, environment, stdout, stderr)
        except (OSError, ValueError) as error:
            run.start_error = f"{Path(command[0]).name}: {_reason(error)}"
            run.stop_clock()
            return
        run.pid = process.pid
        reading = asyncio.gather(stdout.read_into(run.stdout), stderr.read_into(run.stderr))
        try:
            await _wait(run, process, timeout_seconds)
        finally:
            grace_seconds = processes.TERM_GRACE_SECONDS if run.is_timeout else STOP_GRACE_SECONDS
            run.stop_clock()
            run.pid = None
            await processes.end_tree(process.pid, owned=others, grace_seconds=grace_seconds)
            await process.wait()
            await _drain(reading)


async def _wait(run: AgentRun, process: asyncio.subprocess.Process, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            run.exit_code = await process.wait()
    except TimeoutError:
        run.is_timeout = True


class _Pipe:
    """A pipe that a child writes and we read.

    Not asyncio's own: its `Process.wait` also waits for the pipes, which a background process of the agent
    may hold open for ever.
    """

    async def __aenter__(self) -> Self:
        """Open both ends and listen at one."""
        read_end, self.write_end = os.pipe()
        self._reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(self._reader)
        self._transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb", 0))
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close whatever is open."""
        self.release()
        self._transport.close()

    def release(self) -> None:
        """Close our copy of the child's end, so that the end of output can be seen."""
        if self._is_open:
            self._is_open = False
            os.close(self.write_end)

    async def read_into(self, capture: Capture) -> None:
        """Read to the end of output."""
        while chunk := await self._reader.read(READ_BYTES):
            capture.feed(chunk)


async def _start(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], stdout: _Pipe, stderr: _Pipe
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout.write_end,
            stderr=stderr.write_end,
            start_new_session=True,
        )
    finally:
        stdout.release()
        stderr.release()


async def _drain(reading: "asyncio.Future[tuple[None, None]]") -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await reading


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
