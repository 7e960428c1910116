"""Judges the commits of an untrusted bundle: history, paths, sizes, secrets, protected files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from apps.projects import bundle_errors as errors
from apps.projects import bundle_globs, bundle_paths, bundle_secrets, objects
from apps.projects.git import Git, GitOutputTooLarge

_CHUNK_BYTES: Final = 8 * 1024 * 1024
_MAX_COMMIT_BYTES: Final = 65_536
_MAX_LINK_BYTES: Final = 1_000
_ABSENT: Final = "0" * 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A file that one tree has otherwise than another."""

    path: str
    mode: str  # 000000 when it was deleted
    sha: str
    old_sha: str


@dataclass(kw_only=True, slots=True)
class Inspection:
    """The commits of base..head in a throw-away repository, looked at one after the other."""

    git: Git
    base_sha: str
    head_sha: str
    max_paths: int
    max_file_bytes: int
    large: dict[str, int]  # files that came with the bundle and are over the limit
    _seen: set[tuple[str, bytes]] = field(default_factory=set)
    _links: set[tuple[bytes, str]] = field(default_factory=set)
    _scanned: set[tuple[str, str]] = field(default_factory=set)

    def check_history(self, *, max_commits: int) -> list[str]:
        """Return the new commits, oldest first.

        Raises:
            NoCommit: the head is the base.
            ForeignHistory: base and head have no common commit.
            RewrittenHistory: the base is not in the history of the head.
            TooManyCommits: more than ``max_commits``.
            MergeCommits: one of them has several parents.

        """
        if self.head_sha == self.base_sha:
            raise errors.NoCommit
        if not objects.is_ancestor(self.git, self.base_sha, self.head_sha):
            shared = self.git.run("merge-base", self.base_sha, self.head_sha, allowed_exits=(0, 1))
            details = {"base": self.base_sha, "head": self.head_sha}
            raise (errors.RewrittenHistory if shared.exit_code == 0 else errors.ForeignHistory)(
                details=details
            )
        span = f"{self.base_sha}..{self.head_sha}"
        commits = self.git.text("rev-list", f"--max-count={max_commits + 1}", span).split()
        if len(commits) > max_commits:
            raise errors.TooManyCommits(details={"limit": max_commits})
        merges = self.git.text("rev-list", "--min-parents=2", span).split()
        if merges:
            raise errors.MergeCommits(details={"commit": merges[0]})
        return commits[::-1]

    def check_trees(self, commits: Sequence[str]) -> None:
        """Check every file of every new commit; names that collide are looked for in the last one.

        What the base has already is not judged again.

        Raises:
            TooManyFiles: a commit has more than ``max_paths``.
            UnsafePath: a path, type or link is dangerous.
            FileTooLarge: a file is larger than ``max_file_bytes``.

        """
        for entry in self._list(self.base_sha):
            self._seen.add((entry.mode, entry.path))
            self._links.add((entry.path, entry.sha))
        paths: list[str] = []
        for commit in commits:
            entries = self._list(commit)
            for entry in entries:
                if (entry.mode, entry.path) not in self._seen:
                    bundle_paths.check_path(entry.path, entry.mode)
                    self._seen.add((entry.mode, entry.path))
                if entry.sha in self.large:
                    raise self._too_large(entry.path.decode(), self.large[entry.sha])
                if entry.mode == bundle_paths.SYMLINK:
                    self._check_link(entry)
            paths = [entry.path.decode("utf-8", "replace") for entry in entries]
        bundle_paths.check_collisions(paths)

    def check_secrets(self, commits: Sequence[str]) -> None:
        """Look for secrets in what each commit adds and in the commits' own texts.

        Raises:
            SecretFound: the details name file, rule, line and commit, never the value.
            FileTooLarge: a changed file is larger than ``max_file_bytes``.

        """
        for name, content in objects.read_objects(self.git, commits):
            _refuse_secrets("(commit message)", name, bundle_secrets.new_secrets(content, b""))
        for older, newer in zip([self.base_sha, *commits], commits, strict=False):
            changes = [c for c in self.changes(older, newer) if c.sha != _ABSENT]
            fresh = [c for c in changes if (c.old_sha, c.sha) not in self._scanned]
            self._scanned.update((c.old_sha, c.sha) for c in fresh)
            for change, content in self._contents(fresh):
                _refuse_secrets(change.path, newer, self._new_secrets(change, content))

    def check_protected(self, patterns: Sequence[str]) -> None:
        """Check that all the commits together leave the protected files as they were.

        Raises:
            ProtectedPathChanged: the details name the file and the pattern.

        """
        guarded = bundle_globs.with_shadows(patterns)
        for change in self.changes(self.base_sha, self.head_sha):
            is_link = change.mode == bundle_paths.SYMLINK
            pattern = bundle_globs.first_match(guarded, change.path, is_link=is_link)
            if pattern is not None:
                raise errors.ProtectedPathChanged(details={"file": change.path, "pattern": pattern})

    def changes(self, older: str, newer: str) -> list[Change]:
        """Return the files in which two commits differ; renames are a deletion and an addition."""
        raw = self.git.run(
            "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", older, newer
        ).output
        fields = raw.decode("utf-8", "replace").split("\0")
        found = []
        for head, path in zip(fields[0::2], fields[1::2], strict=False):
            _, mode, old_sha, sha, _ = head.split(" ")
            found.append(Change(path=path, mode=mode, sha=sha, old_sha=old_sha))
        return found

    def line_counts(self) -> tuple[int, int]:
        """Return how many lines the commits add and delete altogether; binary files count none."""
        span = (self.base_sha, self.head_sha)
        raw = self.git.run(
            "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", *span
        ).output
        counts = [line.split(b"\t", 2)[:2] for line in raw.split(b"\0")[:-1]]
        added, deleted = (sum(int(pair[side]) for pair in counts if pair[side].isdigit()) for side in (0, 1))
        return added, deleted

    def _list(self, commit: str) -> list[objects.TreeEntry]:
        try:
            entries = list(objects.list_tree(self.git, commit))
        except GitOutputTooLarge as error:
            raise errors.TooManyFiles(details={"limit": self.max_paths, "commit": commit}) from error
        if len(entries) > self.max_paths:
            raise errors.TooManyFiles(details={"limit": self.max_paths, "commit": commit})
        return entries

    def _check_link(self, entry: objects.TreeEntry) -> None:
        if (entry.path, entry.sha) in self._links:
            return
        self._links.add((entry.path, entry.sha))
        _, size = objects.object_sizes(self.git, [entry.sha])[entry.sha]
        target = b""
        if size <= _MAX_LINK_BYTES:
            target = dict(objects.read_objects(self.git, [entry.sha]))[entry.sha]
        bundle_paths.check_link(entry.path.decode(), target)

    def _too_large(self, path: str, size: int) -> errors.FileTooLarge:
        return errors.FileTooLarge(details={"file": path, "size": size, "limit": self.max_file_bytes})

    def _contents(self, changes: Sequence[Change]) -> Iterator[tuple[Change, bytes]]:
        files = [change for change in changes if change.mode != bundle_paths.GITLINK]
        sizes = objects.object_sizes(self.git, [change.sha for change in files])
        for change in files:
            if sizes[change.sha][1] > self.max_file_bytes:
                raise self._too_large(change.path, sizes[change.sha][1])
        for chunk in _chunks(files, {name: size for name, (_, size) in sizes.items()}):
            contents = objects.read_objects(self.git, [change.sha for change in chunk])
            for change, (_, content) in zip(chunk, contents, strict=True):
                yield change, content

    def _new_secrets(self, change: Change, content: bytes) -> list[bundle_secrets.Finding]:
        findings = bundle_secrets.new_secrets(content, b"")
        if not findings or change.old_sha == _ABSENT:
            return findings
        _, size = objects.object_sizes(self.git, [change.old_sha])[change.old_sha]
        if size > self.max_file_bytes:
            return findings
        before = dict(objects.read_objects(self.git, [change.old_sha]))[change.old_sha]
        return bundle_secrets.new_secrets(content, before)


def check_objects(
    git: Git, names: Sequence[str], *, max_unpacked_bytes: int, max_file_bytes: int
) -> dict[str, int]:
    """Check the unpacked sizes of a pack's objects without unpacking them.

    Returns:
        The files over ``max_file_bytes`` by their ids, with their sizes: who finds their names refuses them.

    Raises:
        BundleTooLarge: all objects together, or a commit or directory, are too large.

    """
    sizes = objects.object_sizes(git, names)
    total = sum(size for _, size in sizes.values())
    if total > max_unpacked_bytes:
        raise errors.BundleTooLarge(details={"unpacked": total, "limit": max_unpacked_bytes})
    large: dict[str, int] = {}
    for name, (kind, size) in sizes.items():
        limit = max_file_bytes if kind in ("blob", "tree") else _MAX_COMMIT_BYTES
        if size > limit and kind != "blob":
            raise errors.BundleTooLarge(details={"object": name, "kind": kind, "size": size, "limit": limit})
        if size > limit:
            large[name] = size
    return large


def _chunks(changes: Iterable[Change], sizes: dict[str, int]) -> Iterator[list[Change]]:
    chunk: list[Change] = []
    total = 0
    for change in changes:
        if chunk and total + sizes[change.sha] > _CHUNK_BYTES:
            yield chunk
            chunk, total = [], 0
        chunk.append(change)
        total += sizes[change.sha]
    if chunk:
        yield chunk


def _refuse_secrets(path: str, commit: str, findings: Sequence[bundle_secrets.Finding]) -> None:
    if findings:
        first = findings[0]
        details = {"file": path, "rule": first.rule, "line": first.line, "commit": commit}
        raise errors.SecretFound(details=details)
