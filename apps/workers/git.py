"""Git for this app: in repositories of our own, without anybody's configuration, in bounded time."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apps.errors import Unavailable

_TIMEOUT_SECONDS: Final = 60
_MAX_WORDS: Final = 500
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "gc.auto=0",
    "transfer.fsckObjects=true",
    "safe.directory=*",
)


class GitFailed(Unavailable):
    """Git refused or did not answer in time."""

    code = "git_failed"


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory."""

    directory: Path

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run one command and return what it printed, stripped.

        Raises:
            GitFailed: a non-zero exit, git is missing, or it took too long.

        """
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        try:
            done = subprocess.run(
                ["git", *settings, *arguments],
                cwd=self.directory,
                env={"PATH": os.environ.get("PATH", os.defpath), **_ENVIRONMENT},
                input=stdin,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitFailed(f"git {arguments[0]}: {type(error).__name__}") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip()[:_MAX_WORDS]
            raise GitFailed(f"git {arguments[0]} failed ({done.returncode}): {words}")
        return done.stdout.decode(errors="replace").strip()

    def has(self, sha: str) -> bool:
        """Tell whether an object is here."""
        try:
            self.run("cat-file", "-e", sha)
        except GitFailed:
            return False
        return True
