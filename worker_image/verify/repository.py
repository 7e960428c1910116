"""The repository of a verification: objects from the bundle, one tree switched between two commits."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

_ENVIRONMENT_DIRECTORIES = (".venv", "node_modules")
_REQUIREMENTS = re.compile(
    r"requirements[^/]*\.(txt|in)|pyproject\.toml|uv\.lock|poetry\.lock|setup\.(py|cfg)|package(-lock)?\.json|Makefile"
)
_GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
}


class GitFailed(Exception):
    """git said no."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Repository:
    """One repository with one tree.

    Args:
        home: where its objects go.
        tree: where the files go.

    """

    def __init__(self, home: Path, tree: Path) -> None:
        self._home = home
        self.tree = tree

    def unpack(self, bundle: Path) -> None:
        """Make the repository and take the bundle's objects, without any of its names.

        Raises:
            GitFailed: the bundle is damaged.

        """
        self.tree.mkdir()
        self._git("init", "--quiet", "--separate-git-dir", str(self._home), str(self.tree))
        # The tree must not show the way to the objects of the other commit.
        (self.tree / ".git").unlink()
        self._git("bundle", "unbundle", str(bundle))

    def files(self, commit: str) -> dict[str, str]:
        """Return a commit's files: path to the identity of its content and mode."""
        listing = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        rows = [row.split("\t", 1) for row in listing.split("\0") if row]
        return {path: facts for facts, path in rows}

    def show(self, commit: str) -> None:
        """Make the tree a commit's; ignored files such as the environment stay."""
        self._git("read-tree", "--reset", "-u", commit)
        excluded = [word for name in _ENVIRONMENT_DIRECTORIES for word in ("-e", name)]
        self._git("clean", "-ffdq", *excluded)

    def restore(self, commit: str, paths: Iterable[str]) -> None:
        """Take paths from a commit; those it does not have are deleted."""
        known = self.files(commit)
        for path in paths:
            if path in known:
                self._git("checkout", "--quiet", commit, "--", path)
            else:
                (self.tree / path).unlink(missing_ok=True)

    def _git(self, *words: str) -> str:
        is_making = words[0] == "init"
        where = [] if is_making else [f"--git-dir={self._home}", f"--work-tree={self.tree}"]
        settings = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.bare=false"]
        done = subprocess.run(
            ["git", *settings, *where, *words],
            env={**os.environ, **_GIT_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.tree,
        )
        if done.returncode:
            raise GitFailed(
                done.returncode, f"git {words[0]}: {done.stderr.decode(errors='replace')[-2_000:]}"
            )
        return done.stdout.decode(errors="surrogateescape")


def changed_protected(base: Mapping[str, str], head: Mapping[str, str], patterns: Iterable[str]) -> list[str]:
    """Return the protected paths in which two commits differ.

    Args:
        base: files of the base.
        head: files of the head.
        patterns: paths in which ``*`` stays inside a directory and ``**`` does not.

    """
    protected = [_pattern(pattern) for pattern in patterns]
    differing = {path for path in base.keys() | head.keys() if base.get(path) != head.get(path)}
    return sorted(path for path in differing if any(regex.fullmatch(path) for regex in protected))


def environment_paths(base: Mapping[str, str], head: Mapping[str, str]) -> list[str]:
    """Return the head's files that would replace the installed tools of the checks."""
    return sorted(
        path
        for path in head
        if path.split("/", 1)[0] in _ENVIRONMENT_DIRECTORIES and base.get(path) != head[path]
    )


def has_same_requirements(base: Mapping[str, str], head: Mapping[str, str], ignored: Iterable[str]) -> bool:
    """Tell whether an environment made for the base serves the head as well.

    Args:
        base: files of the base.
        head: files of the head.
        ignored: paths that are taken from the base anyway.

    """
    names = {path for path in base.keys() | head.keys() if _REQUIREMENTS.fullmatch(path)} - set(ignored)
    return all(base.get(path) == head.get(path) for path in names)


def _pattern(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    translated = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(translated.get(part, re.escape(part)) for part in parts))
