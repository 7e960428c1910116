"""Reads what is inside a stored snapshot, to be shown: its files, what was changed, one file.

A bundle is a worker's words, and a small one may hold a tree of millions of
names or gigabytes of text. Git therefore runs with little memory and little
time, and only the beginning of what it says is read. What is known as a
secret of the worker is masked.
"""

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Final

from apps import storage
from apps.errors import NotFound
from apps.workers import restore
from apps.workers.git import GitFailed
from apps.workers.models import Snapshot
from apps.workers.redaction import redact
from worker_image.contract import DIRTY_REF

MAX_FILES: Final = 1_000
MAX_DIFF_BYTES: Final = 200_000
MAX_FILE_BYTES: Final = 100_000
_MAX_LIST_BYTES: Final = 300_000
_SECONDS: Final = 20
_MEMORY_BYTES: Final = 1024**3
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
#: A text beyond this is called binary, and never unpacked as a whole.
_SETTINGS: Final = ("core.bigFileThreshold=1m", "core.hooksPath=/dev/null", "core.quotePath=false")


class FileNotThere(NotFound):
    """The snapshot has no such file."""

    code = "file_not_there"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """One file of a snapshot."""

    path: str
    size: int  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a snapshot holds, as far as it is shown."""

    files: list[StoredFile]
    has_more_files: bool
    diff: str
    is_diff_cut: bool
    has_uncommitted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """The beginning of one file."""

    words: str
    is_cut: bool


def read(snapshot: Snapshot) -> Contents:
    """Return the files of a snapshot, uncommitted work included, and what differs from where it began.

    Raises:
        SnapshotUnreadable, GitFailed: it is damaged or forged, or too much for the limits.
        storage.BundleMissing, storage.BundleDamaged: it was collected, or is not what was stored.

    """
    with _opened(snapshot) as opened:
        listed, is_list_cut = opened.say(_MAX_LIST_BYTES, "ls-tree", "-r", "-l", "-z", opened.tree)
        lines = listed.split("\0")[: -1 if is_list_cut else None]
        found = [_file(line) for line in lines if "\t" in line]
        changed = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        diff, is_diff_cut = opened.say(MAX_DIFF_BYTES, *changed, snapshot.base_sha, opened.tree)
        return Contents(
            files=[StoredFile(path=opened.masked(one.path), size=one.size) for one in found[:MAX_FILES]],
            has_more_files=is_list_cut or len(found) > MAX_FILES,
            diff=opened.masked(diff),
            is_diff_cut=is_diff_cut,
            has_uncommitted=opened.has_uncommitted,
        )


def read_file(snapshot: Snapshot, path: str) -> Text:
    """Return the beginning of one file.

    Raises:
        FileNotThere: there is no file of that path.
        SnapshotUnreadable, GitFailed, storage.BundleMissing, storage.BundleDamaged: as for ``read``.

    """
    with _opened(snapshot) as opened:
        # Literal: a path of a worker's choice is no pattern, and never an option.
        entry, _ = opened.say(
            _MAX_LIST_BYTES, "--literal-pathspecs", "ls-tree", "-z", opened.tree, "--", path
        )
        words = entry.partition("\t")[0].split()
        if len(words) != 3 or words[1] != "blob":
            raise FileNotThere(details={"path": path[:200]})
        text, is_cut = opened.say(MAX_FILE_BYTES, "cat-file", "blob", words[2])
        return Text(words=opened.masked(text), is_cut=is_cut)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """A snapshot's objects in a throw-away repository."""

    directory: Path
    tree: str
    has_uncommitted: bool
    secrets: tuple[str, ...]

    def masked(self, text: str) -> str:
        """Return a text without what is known as secret."""
        return redact(text, self.secrets)

    def say(self, limit: int, *arguments: str) -> tuple[str, bool]:
        """Return the beginning of what git says, and whether there was more."""
        return _git(self.directory, limit, *arguments)


@contextmanager
def _opened(snapshot: Snapshot) -> Iterator[_Opened]:
    worker = snapshot.worker
    with tempfile.TemporaryDirectory(prefix="snapshot-") as name:
        directory = Path(name)
        _git(directory, 0, "init", "--quiet", "--bare", "--template=", ".")
        _take(directory, worker.workspace_name, worker.workspace_sha256)
        refs = _take(directory, snapshot.name, snapshot.sha256)
        dirty = refs.get(DIRTY_REF)
        head = refs.get(f"refs/heads/{snapshot.branch}", snapshot.base_sha)
        environment = worker.config.get("env_vars") or {}
        yield _Opened(
            directory=directory,
            tree=dirty or head,
            has_uncommitted=dirty is not None,
            secrets=tuple(str(value) for value in environment.values()),
        )


def _take(directory: Path, name: str, sha256: str) -> dict[str, str]:
    if not name:
        return {}
    with storage.open_bundle(name, sha256=sha256) as bundle:
        refs = restore.read_refs(bundle)
        pack = bundle.read()
    if pack:
        _git(directory, 1_000, "index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack)
    return refs


def _file(line: str) -> StoredFile:
    words, _tab, path = line.partition("\t")
    size = words.split()[-1]
    return StoredFile(path=path, size=int(size) if size.isdigit() else 0)


def _git(directory: Path, limit: int, *arguments: str, stdin: bytes = b"") -> tuple[str, bool]:
    """Run git within limits; return the first bytes that it says as text, and whether there were more."""
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen(
            ["git", *settings, *arguments],
            cwd=directory,
            env={"PATH": os.environ.get("PATH", os.defpath), **_ENVIRONMENT},
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            said = _read_bounded(process, limit)
    is_cut = len(said) > limit
    if process.returncode and not is_cut:
        raise GitFailed(f"git {arguments[0]} failed ({process.returncode}), or it was too much")
    return said[:limit].decode(errors="replace"), is_cut


def _read_bounded(process: "subprocess.Popen[bytes]", limit: int) -> bytes:
    if process.stdout is None:
        return b""
    resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    timer = Timer(_SECONDS, process.kill)
    timer.start()
    try:
        said = process.stdout.read(limit + 1)
        if len(said) > limit:
            process.kill()
        process.wait()
    finally:
        timer.cancel()
    return said
