"""The `orchestrator` command as the rehearsal Product Owner uses it: in another process, answered in JSON."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_SECONDS: Final = 120


@dataclass(slots=True)
class CommandRefused(Exception):
    """The command said no, or could not be run; the message may be shown to the person."""

    kind: str
    message: str

    def __str__(self) -> str:
        return self.message


class Hands(Protocol):
    """Whatever runs commands."""

    def run(self, *arguments: str) -> Any:
        """Run one command and return its data.

        Raises:
            CommandRefused: it did not succeed.

        """
        ...


class Command:
    """The installed command, or the same program out of this package."""

    def run(self, *arguments: str) -> Any:
        """Run one command and return its data.

        Raises:
            CommandRefused: it did not succeed.

        """
        try:
            ended = subprocess.run(
                [*_program(), *arguments],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandRefused(
                "unavailable", f"orchestrator {arguments[0]}: {type(error).__name__}"
            ) from error
        answer = _read(ended.stdout)
        if answer.get("success") is True:
            return answer.get("data")
        told = str(answer.get("message") or f"orchestrator {arguments[0]} ended with {ended.returncode}")
        raise CommandRefused(str(answer.get("error") or "error"), told)


def _program() -> Sequence[str]:
    installed = shutil.which("orchestrator")
    return [installed] if installed else [sys.executable, "-m", "worker_image.cli"]


def _read(stdout: str) -> dict[str, Any]:
    lines = stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
