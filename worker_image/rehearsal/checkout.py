"""The git checkout that the agent works in."""

import subprocess
from pathlib import Path

NAME = "Rehearsal agent"
EMAIL = "rehearsal-agent@localhost"


class GitFailed(RuntimeError):
    """A git command did not succeed."""


def git(checkout: Path, *arguments: str) -> str:
    """Run git in a checkout and return what it printed.

    Raises:
        GitFailed: git is missing or refused.

    """
    identity = ["-c", f"user.name={NAME}", "-c", f"user.email={EMAIL}", "-c", "core.hooksPath=/dev/null"]
    try:
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(f"git {arguments[0]}: {error}") from error
    if done.returncode:
        raise GitFailed(f"git {arguments[0]}: {done.stderr.strip()[:500]}")
    return done.stdout.strip()


def write_files(checkout: Path, files: dict[str, str]) -> tuple[str, ...]:
    """Write files and return the paths whose content changed."""
    changed = []
    for name, text in files.items():
        path = checkout / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        changed.append(name)
    return tuple(changed)


def commit(checkout: Path, message: str, *, path: str | None = None) -> str | None:
    """Commit everything, or one path, on the current branch; returns the commit, None if nothing changed.

    Raises:
        GitFailed: git refused.

    """
    only = ["--", path] if path is not None else []
    git(checkout, "add", "--all", *only)
    if not git(checkout, "status", "--porcelain", *only):
        return None
    git(checkout, "commit", "--quiet", "--no-gpg-sign", "--message", message, *only)
    return git(checkout, "rev-parse", "HEAD")
