"""Runs git for the wrapper: no system or user configuration, no hooks, no prompts, bounded time."""

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker_image.capture import bounded

TIMEOUT_SECONDS = 120.0
MAX_ERROR_CHARS = 500
AUTHOR_NAME = "Coding Agent"
AUTHOR_EMAIL = "coding-agent@noreply.invalid"
ISOLATION: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
}
SETTINGS: Mapping[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "gc.auto": "0",
    "commit.gpgSign": "false",
    "user.name": AUTHOR_NAME,
    "user.email": AUTHOR_EMAIL,
    "advice.addEmbeddedRepo": "false",
    "safe.directory": "*",
}


class GitFailed(Exception):
    """Git answered with an error, or not in time."""


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory, with extra variables (where the repository, index or work tree is)."""

    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    async def run(self, *arguments: str) -> str:
        """Run one command and return what it printed, stripped.

        Raises:
            GitFailed: a non-zero exit, git is missing, or `TIMEOUT_SECONDS` passed.

        """
        process = await self._start(arguments)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise GitFailed(f"git {arguments[0]} took longer than {TIMEOUT_SECONDS:.0f} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            words = bounded(errors.decode(errors="replace"), MAX_ERROR_CHARS)
            raise GitFailed(f"git {arguments[0]} failed ({process.returncode}): {words}")
        return output.decode(errors="surrogateescape").strip()

    async def find(self, *arguments: str) -> str | None:
        """Run one command that may find nothing; an error or an empty answer is None."""
        try:
            return await self.run(*arguments) or None
        except GitFailed:
            return None

    async def _start(self, arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        variables = {"PATH": os.environ.get("PATH", os.defpath), **ISOLATION, **self.variables}
        try:
            return await asyncio.create_subprocess_exec(
                "git",
                *settings,
                *arguments,
                cwd=self.directory,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise GitFailed(f"git cannot be started: {error.strerror}") from error
