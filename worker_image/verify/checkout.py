"""Gets the two commits out of the bundle, and the files of the change with the base's protected ones."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker_image.verify import patterns
from worker_image.verify.boundedtext import end_of
from worker_image.verify.processes import Runner

_LISTING_BYTES: Final = 32 * 1024 * 1024
_LINK_MODE: Final = "120000"
_ISOLATION: Final[Mapping[str, str]] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "gc.auto=0",
    "advice.detachedHead=false",
    "safe.directory=*",
)


class CheckoutProblem(Exception):
    """The commits cannot be brought onto the disk; ``code`` says which part failed."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedTree:
    """What is checked: the files of the head with the protected ones of the base."""

    sha: str
    restored: tuple[str, ...]  # paths that differ from the head's, sorted
    keeps_environment: bool  # the base's environment holds what this one needs


class Checkout:
    """One clone of the bundle in a directory of its own.

    Args:
        directory: must not exist.
        bundle: the file to clone from.
        runner: starts git.
        timeout_seconds: of each run of git.
    """

    def __init__(self, directory: Path, *, bundle: Path, runner: Runner, timeout_seconds: float) -> None:
        self.directory = directory
        self._bundle = bundle
        self._runner = runner
        self._timeout_seconds = timeout_seconds

    def clone(self, *commits: tuple[str, str]) -> None:
        """Clone without hooks or configuration, check every object, and require commits.

        Args:
            commits: (code of the problem if it is missing, its id).

        Raises:
            CheckoutProblem: the bundle is damaged or lacks a commit.

        """
        self.directory.mkdir()
        self._git(
            "clone", "--quiet", "--no-checkout", "--no-tags", "--template=", "--", str(self._bundle), "."
        )
        self._git("fsck", "--full", "--no-dangling", "--no-progress")
        for code, sha in commits:
            self._git("cat-file", "-e", f"{sha}^{{commit}}", problem=code)

    def check_out(self, sha: str) -> None:
        """Put a commit's files into the directory."""
        self._git("checkout", "--quiet", "--detach", sha)

    def verified_tree(self, *, base_sha: str, head_sha: str, protected: Iterable[str]) -> VerifiedTree:
        """Make the tree of the head with every protected path as it is, or is not, in the base."""
        guarded = (*patterns.with_shadows(protected), *patterns.ENVIRONMENTS)
        base, head = self._entries(base_sha), self._entries(head_sha)
        kept = {
            path: entry
            for path, entry in head.items()
            if not patterns.is_protected(guarded, path, is_link=entry.startswith(_LINK_MODE))
        }
        wanted = {path: entry for path, entry in base.items() if patterns.is_protected(guarded, path)}
        for path in wanted:
            for parent in list(Path(path).parents)[:-1]:
                kept.pop(str(parent), None)  # a file in place of a protected directory
        result = kept | wanted
        restored = _differing(head, result)
        changed = _differing(base, result)
        return VerifiedTree(
            sha=self._write_tree(result) if restored else self._git("rev-parse", f"{head_sha}^{{tree}}"),
            restored=tuple(restored),
            keeps_environment=not any(map(patterns.decides_dependencies, changed)),
        )

    def replace(self, tree: VerifiedTree, *, head_sha: str) -> None:
        """Put the verified tree in place of what is there; of the rest only a fitting environment stays."""
        self._git("update-ref", "--no-deref", "HEAD", head_sha)
        self._git("read-tree", "--reset", "-u", tree.sha)
        kept = patterns.ENVIRONMENTS if tree.keeps_environment else ()
        self._git("clean", "-ffdxq", *(f"--exclude=/{name}" for name in kept))

    def remove(self) -> None:
        """Delete the directory, as far as that is possible."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _entries(self, sha: str) -> dict[str, str]:
        listing = self._git("ls-tree", "-r", "-z", "--full-tree", sha)
        entries = {}
        for line in listing.split("\0"):
            description, _, path = line.partition("\t")
            if path:
                mode, _, name = description.split(" ")
                entries[path] = f"{mode} {name}"
        return entries

    def _write_tree(self, entries: Mapping[str, str]) -> str:
        listing = self.directory / ".git" / "verified-entries"
        listing.write_bytes(
            b"".join(os.fsencode(f"{entry}\t{path}\0") for path, entry in sorted(entries.items()))
        )
        index = {"GIT_INDEX_FILE": str(self.directory / ".git" / "verified-index")}
        self._git("update-index", "-z", "--index-info", stdin=listing, variables=index)
        return self._git("write-tree", variables=index)

    def _git(
        self,
        *arguments: str,
        problem: str = "clone_failed",
        stdin: Path = Path(os.devnull),
        variables: Mapping[str, str] | None = None,
    ) -> str:
        finished = self._runner.run(
            ["git", *(part for setting in _SETTINGS for part in ("-c", setting)), *arguments],
            directory=self.directory,
            environment={"PATH": os.environ.get("PATH", os.defpath), **_ISOLATION, **(variables or {})},
            timeout_seconds=self._timeout_seconds,
            output_limit=_LISTING_BYTES,
            stdin=stdin,
        )
        if not finished.is_good or not finished.is_output_complete:
            reason = "took too long" if finished.timed_out else end_of(finished.log, 500)
            raise CheckoutProblem(problem, f"git {arguments[0]}: {reason}")
        return os.fsdecode(finished.output).removesuffix("\n")


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
