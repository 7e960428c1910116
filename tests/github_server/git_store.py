"""Runs git on the bare repositories of this GitHub."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
SETTINGS = {
    "http.receivepack": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "receive.denyDeleteCurrent": "ignore",
    "receive.advertisePushOptions": "false",
    "transfer.hideRefs": "refs/internal",
    "core.fsync": "none",
    "gc.auto": "0",
}


class GitRefused(Exception):
    """Git ended with an error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def git(
    path: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> bytes:
    """Run a command on a bare repository and return what it printed.

    Raises:
        GitRefused: it ended with an error.

    """
    done = subprocess.run(
        ["git", "--git-dir", str(path), *arguments],
        input=stdin,
        capture_output=True,
        env={**ENVIRONMENT, **(environment or {})},
        timeout=120,
    )
    if done.returncode:
        raise GitRefused(done.returncode, (done.stderr or done.stdout).decode(errors="replace"))
    return done.stdout


def text(path: Path, *arguments: str, **more: Mapping[str, str]) -> str:
    return git(path, *arguments, **more).decode(errors="replace").strip()  # type: ignore[arg-type]


def create(path: Path, branch: str, hook: str) -> None:
    """Make a bare repository whose pushes are asked about."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))
    for key, value in SETTINGS.items():
        git(path, "config", key, value)
    file = path / "hooks" / "pre-receive"
    file.parent.mkdir(exist_ok=True)
    file.write_text(hook)
    file.chmod(0o755)


def heads(path: Path) -> dict[str, str]:
    """Return the branches with their heads."""
    lines = text(
        path, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
    ).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)  # type: ignore[arg-type,misc]


def resolve(path: Path, name: str) -> str | None:
    """Return the commit of a branch, tag or id."""
    for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
        try:
            return text(
                path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{commit}}"
            )
        except GitRefused:
            continue
    return None


def is_ancestor(path: Path, first: str, second: str, environment: Mapping[str, str] | None = None) -> bool:
    try:
        git(path, "merge-base", "--is-ancestor", first, second, environment=environment)
    except GitRefused as refused:
        if refused.code == 1:
            return False
        raise
    return True


def read(path: Path, commit: str, name: str) -> bytes | None:
    """Return a file of a commit, None if there is none."""
    try:
        return git(path, "cat-file", "blob", f"{commit}:{name}")
    except GitRefused:
        return None


def list_files(path: Path, commit: str, folder: str) -> list[str]:
    """Return the paths of the files in a folder of a commit."""
    try:
        lines = git(path, "ls-tree", "-z", "--name-only", commit, f"{folder}/").decode().split("\0")
    except GitRefused:
        return []
    return [line for line in lines if line]


def merge_tree(path: Path, first: str, second: str) -> str | None:
    """Return the tree of a merge, None if it conflicts."""
    try:
        return text(path, "merge-tree", "--write-tree", first, second).splitlines()[0]
    except GitRefused as refused:
        if refused.code == 1:
            return None
        raise


def commit_tree(
    path: Path, tree: str, parents: tuple[str, ...], message: str, who: str = "book-bot[bot]"
) -> str:
    """Write a commit as the host itself does."""
    arguments = [part for parent in parents for part in ("-p", parent)]
    identity = {
        f"GIT_{role}_{kind}": value
        for role in ("AUTHOR", "COMMITTER")
        for kind, value in (("NAME", who), ("EMAIL", "bot@users.noreply.github.example"))
    }
    return (
        git(path, "commit-tree", tree, *arguments, stdin=message.encode(), environment=identity)
        .decode()
        .strip()
    )


def refusal_of_workflows(
    path: Path, commits: tuple[str, ...], environment: Mapping[str, str] | None = None
) -> str | None:
    """Return why commits may not come from a token without the permission for workflows."""
    arguments = ("log", "--format=", "--name-only", "-m", *commits, "--", ".github/workflows")
    files = git(path, *arguments, environment=environment).decode().split()
    if not files:
        return None
    words = "refusing to allow a GitHub App to create or update workflow"
    return f"{words} `{files[0]}` without `workflows` permission"
