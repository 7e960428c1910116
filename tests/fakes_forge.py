"""A forge in memory for tests, and a small real repository to push from."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from apps.errors import Invalid
from apps.projects import objects
from apps.projects.bundle_write import BundleInfo
from apps.projects.forge import base
from apps.projects.forge.listing import ListedRepository
from apps.projects.git import Git
from apps.projects.git_names import check_branch, check_sha

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class GitSource:
    """A real bare repository whose commits are written file by file, without a checkout."""

    def __init__(self, path: Path, *, alternates: Path | None = None) -> None:
        self.path = path
        self.git = replace(objects.create_bare(path, alternates=alternates), durable=False)

    def blob(self, content: bytes) -> str:
        return self.git.text("hash-object", "-w", "--stdin", stdin=content)

    def tree(self, entries: Iterable[tuple[str, str, bytes]]) -> str:
        """Write one tree object as given (mode, id, name), however bad."""
        raw = b"".join(
            mode.encode() + b" " + name + b"\0" + bytes.fromhex(sha) for mode, sha, name in entries
        )
        return self.git.text("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)

    def files(self, files: Mapping[str, bytes | tuple[str, bytes]]) -> str:
        """Write a tree of files by path; a pair gives mode and content."""
        here: list[tuple[str, str, bytes]] = []
        below: dict[str, dict[str, bytes | tuple[str, bytes]]] = {}
        for path, content in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                below.setdefault(first, {})[rest] = content
            else:
                mode, data = content if isinstance(content, tuple) else ("100644", content)
                here.append((mode, self.blob(data), first.encode()))
        here += [("40000", self.files(inner), name.encode()) for name, inner in below.items()]
        return self.tree(sorted(here, key=lambda e: e[2] + (b"/" if e[0] == "40000" else b"")))

    def commit(self, tree: str, *parents: str, message: str = "Work\n") -> str:
        return objects.commit_tree(self.git, tree=tree, parents=parents, message=message, authored_at=MOMENT)

    def commit_files(self, files: Mapping[str, bytes | tuple[str, bytes]], *parents: str) -> str:
        return self.commit(self.files(files), *parents)

    def branch(self, name: str, sha: str) -> None:
        self.git.run("update-ref", f"refs/heads/{name}", sha)


@dataclass(frozen=True)
class _Commit:
    parents: tuple[str, ...]
    files: Mapping[str, bytes]
    message: str = ""


@dataclass
class _Hosted:
    repository: base.Repository
    project_id: str
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, _Commit] = field(default_factory=dict)


class FakeForge:
    """A forge in memory: polices the order of calls and can be told to be down."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[str] = []
        self._hosted: dict[str, _Hosted] = {}
        self._offered: dict[str, _Commit] = {}

    def offer(self, files: Mapping[str, bytes], *parents: str) -> str:
        """Make a commit that can be pushed without a source repository."""
        commit = _Commit(parents=parents, files=dict(files))
        sha = hashlib.sha1(repr((parents, sorted(files.items()))).encode()).hexdigest()
        self._offered[sha] = commit
        return sha

    def lose(self, name: str) -> None:
        """Forget a repository, as if somebody had deleted it."""
        del self._hosted[name]

    def ensure_repository(self, spec: base.RepositorySpec) -> base.Repository:
        self._answer("ensure_repository")
        check_branch(spec.default_branch)
        hosted = self._hosted.get(base.check_name(spec.name))
        if hosted is None:
            if spec.repository_id is not None:
                raise base.RepositoryNotFound
            repository = base.Repository(
                id=f"fake-{len(self.calls)}",
                name=spec.name,
                default_branch=spec.default_branch,
                url=f"https://forge.example/{spec.name}",
            )
            hosted = self._hosted[spec.name] = _Hosted(repository, spec.project_id)
        recorded = hosted.repository.id
        if hosted.project_id != spec.project_id or (spec.repository_id or recorded) != recorded:
            raise base.RepositoryTaken
        return hosted.repository

    def list_repositories(self) -> list[ListedRepository]:
        self._answer("list_repositories")
        return [
            ListedRepository(
                id=one.repository.id, name=name, url=one.repository.url, project_id=one.project_id
            )
            for name, one in self._hosted.items()
        ]

    def head(self, repository: base.Repository, branch: str) -> str | None:
        return self._open("head", repository).branches.get(check_branch(branch))

    def push(
        self, repository: base.Repository, *, source: Path, sha: str, branch: str, expected: str | None
    ) -> None:
        hosted = self._open("push", repository)
        current = hosted.branches.get(check_branch(branch))
        if current == check_sha(sha):
            return
        if current != expected:
            raise base.BranchMoved
        for name, commit in self._read(source, sha):
            hosted.commits[name] = commit
        loses = current is not None and current not in _history(hosted, sha)
        if branch == repository.default_branch and loses:
            raise base.BranchMoved
        hosted.branches[branch] = sha

    def merge(self, repository: base.Repository, spec: base.MergeSpec) -> base.MergeResult:
        hosted = self._open("merge", repository)
        base.check_request_id(spec.request_id)
        current = hosted.branches.get(check_branch(spec.into))
        if current is None:
            raise base.BranchNotFound
        done = base.merge_of(_merges(hosted, spec.into), spec.request_id)
        if done is not None:
            if done.source_sha != spec.source_sha:
                raise base.MergeRequestReused
            return done
        _check_mergeable(hosted, spec, current)
        message = base.merge_message(spec.message, spec.request_id)
        merged = _Commit((current, spec.source_sha), hosted.commits[spec.source_sha].files, message)
        sha = hashlib.sha1(repr((merged.parents, message, spec.authored_at)).encode()).hexdigest()
        hosted.commits[sha] = merged
        hosted.branches[spec.into] = sha
        return base.merge_of(_merges(hosted, spec.into), spec.request_id) or _unreachable()

    def find_merge(
        self, repository: base.Repository, request_id: str, *, branch: str | None = None
    ) -> base.MergeResult | None:
        base.check_request_id(request_id)
        return base.merge_of(self.list_merges(repository, branch=branch), request_id)

    def list_merges(
        self, repository: base.Repository, *, branch: str | None = None
    ) -> list[base.MergeResult]:
        return _merges(self._open("list_merges", repository), branch or repository.default_branch)

    def export_bundle(self, repository: base.Repository, *, branch: str, destination: Path) -> BundleInfo:
        """Write a header that names the head, and an empty pack."""
        head = self._open("export_bundle", repository).branches.get(check_branch(branch))
        if head is None:
            raise base.BranchNotFound
        pack = b"PACK" + (2).to_bytes(4, "big") + (0).to_bytes(4, "big")
        content = f"# v2 git bundle\n{head} refs/heads/{branch}\n\n".encode() + pack
        destination.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return BundleInfo(head_sha=head, sha256=digest, size=len(content))

    def read_file(self, repository: base.Repository, *, sha: str, path: str, limit: int) -> bytes:
        commit = self._open("read_file", repository).commits.get(check_sha(sha))
        if commit is None:
            raise base.CommitNotFound
        if path not in commit.files:
            raise base.FileNotFound
        if len(commit.files[path]) > limit:
            raise base.FileOverLimit
        return commit.files[path]

    def delete_branch(self, repository: base.Repository, branch: str) -> None:
        hosted = self._open("delete_branch", repository)
        if check_branch(branch) == repository.default_branch:
            raise Invalid("The default branch cannot be deleted")
        hosted.branches.pop(branch, None)

    def mirror(self, repository: base.Repository) -> Path:
        self._open("mirror", repository)
        raise base.ForgeUnavailable("The forge in memory has no mirror on disk")

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise base.ForgeUnavailable

    def _open(self, call: str, repository: base.Repository) -> _Hosted:
        self._answer(call)
        hosted = self._hosted.get(repository.name)
        if hosted is None:
            raise base.RepositoryNotFound
        if hosted.repository.id != repository.id:
            raise base.RepositoryTaken
        return hosted

    def _read(self, source: Path, sha: str) -> Iterator[tuple[str, _Commit]]:
        waiting = [sha]
        while waiting:
            name = waiting.pop()
            commit = self._offered.get(name) or _read_commit(Git(repository=source), name)
            waiting += commit.parents
            yield name, commit


def _read_commit(git: Git, sha: str) -> _Commit:
    if not git.repository or not git.repository.is_dir() or not objects.has_commit(git, sha):
        raise base.CommitNotFound
    entries = [entry for entry in objects.list_tree(git, sha) if entry.mode != "120000"]
    contents = dict(objects.read_objects(git, [entry.sha for entry in entries]))
    files = {entry.path.decode(): contents[entry.sha] for entry in entries}
    parents = tuple(git.text("log", "-1", "--format=%P", sha).split())
    return _Commit(parents, files, git.text("log", "-1", "--format=%B", sha))


def _history(hosted: _Hosted, sha: str) -> set[str]:
    seen: set[str] = set()
    waiting = [sha]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += hosted.commits[name].parents
    return seen


def _merges(hosted: _Hosted, branch: str) -> list[base.MergeResult]:
    found = []
    sha = hosted.branches.get(branch)
    while sha is not None:
        commit = hosted.commits[sha]
        request_id = base.request_of(commit.message)
        if request_id and len(commit.parents) == 2:
            first, second = commit.parents
            found.append(base.MergeResult(request_id=request_id, sha=sha, base_sha=first, source_sha=second))
        sha = commit.parents[0] if commit.parents else None
    return found[::-1]


def _check_mergeable(hosted: _Hosted, spec: base.MergeSpec, current: str) -> None:
    if spec.source_sha not in hosted.commits:
        raise base.CommitNotFound
    if current != spec.expected_base:
        raise base.BaseMoved
    if current == spec.source_sha:
        raise base.NothingToMerge
    if current not in _history(hosted, spec.source_sha):
        raise base.MergeConflict


def _unreachable() -> base.MergeResult:
    raise AssertionError("a merge was made and is not there")
