"""Takes in git bundles from workers: untrusted files whose commits are judged before anybody sees them.

A bundle's header is read here and not by git; of its refs only the expected
one counts. The pack is unpacked into a throw-away repository that borrows the
objects of the forge's mirror, under limits of time, memory and size, and every
commit of base..head is judged there. Nothing is checked out, nothing reaches
the mirror; a push from the throw-away repository is the caller's decision.
"""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

from apps.errors import NotFound
from apps.projects import bundle_errors as errors
from apps.projects import objects
from apps.projects.bundle_contents import Inspection, check_objects
from apps.projects.bundle_header import BundleHeader, read_header
from apps.projects.bundle_write import BundleCommitNotFound, BundleInfo, make_bundle
from apps.projects.git import DiskFull, Git, GitFailed, GitLimitExceeded, GitLimits, GitOutputTooLarge, redact
from apps.projects.git_names import check_branch, check_sha

__all__ = [
    "BaseNotFound",
    "BundleCommitNotFound",
    "BundleInfo",
    "BundleLimits",
    "BundleReport",
    "CommitSummary",
    "ImportedBundle",
    "imported_bundle",
    "make_bundle",
]

_MIB: Final = 1024 * 1024
_SHOWN_REFS: Final = 10


class BaseNotFound(NotFound):
    """The repository does not have the base commit."""

    code = "base_not_found"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleLimits:
    """What a bundle may cost."""

    max_bytes: int = 50 * _MIB  # of the file
    max_unpacked_bytes: int = 200 * _MIB  # of all its objects together
    max_file_bytes: int = 10 * _MIB  # of one object
    max_objects: int = 50_000
    max_paths: int = 20_000  # in one commit's tree
    max_commits: int = 200
    timeout_seconds: float = 60.0  # for one run of git
    cpu_seconds: int = 15  # for one run of git


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitSummary:
    """One new commit."""

    sha: str
    subject: str  # printable, at most 200 characters; an agent's words


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleReport:
    """An acceptable bundle."""

    base_sha: str
    head_sha: str
    commits: tuple[CommitSummary, ...]  # oldest first
    paths: tuple[str, ...]  # changed between base and head
    additions: int  # lines
    deletions: int  # lines
    size: int  # bytes of the file
    sha256: str  # of the file

    @property
    def files_changed(self) -> int:
        """How many files differ between base and head."""
        return len(self.paths)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedBundle:
    """A report, and the throw-away repository to push from; the branch is there under its name."""

    report: BundleReport
    repository: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What the bundle is to contain."""

    base_sha: str
    ref: str
    protected: tuple[str, ...]


@contextlib.contextmanager
def imported_bundle(
    bundle: Path,
    *,
    mirror: Path,
    base_sha: str,
    branch: str,
    protected: tuple[str, ...] = (),
    allow_protected: bool = False,
    limits: BundleLimits | None = None,
    scratch: Path | None = None,
) -> Iterator[ImportedBundle]:
    """Judge a bundle and offer its commits while the context lasts; afterwards nothing is left of it.

    Args:
        bundle: the file a worker sent.
        mirror: a bare repository of ours that has the base; only read.
        base_sha: what the work was to begin from.
        branch: what the work was to be committed on.
        protected: globs of files that the commits together may not change (see `bundle_globs`).
        allow_protected: the task may change protected files.
        limits: what the bundle may cost.
        scratch: where the throw-away repository goes (the system's temporary directory if absent); whoever
            chooses it also removes what a killed process leaves in it.

    Raises:
        BundleRefused: a leaf of `bundle_errors`; the bundle will never be acceptable.
        BaseNotFound: the mirror lacks the base.
        GitTimeout: the machine is too busy; says nothing about the bundle.
        DiskFull: says nothing about the bundle.

    """
    ref = f"refs/heads/{check_branch(branch)}"
    wanted = _Wanted(base_sha=check_sha(base_sha), ref=ref, protected=() if allow_protected else protected)
    with contextlib.ExitStack() as stack:
        with _as_refusals():
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bundle-", dir=scratch)))
            report = _take_in(bundle, place, mirror=mirror, wanted=wanted, limits=limits or BundleLimits())
        yield ImportedBundle(report=report, repository=place)


def _take_in(
    bundle: Path, place: Path, *, mirror: Path, wanted: _Wanted, limits: BundleLimits
) -> BundleReport:
    with bundle.open("rb") as stream:
        size, digest = _check_size(stream, limits)
        header = read_header(stream)
        _check_header(header, ref=wanted.ref, mirror=mirror, base_sha=wanted.base_sha, limits=limits)
        git = _unpack(stream, header, place=place, mirror=mirror, limits=limits)
    inspection = _inspection(git, place, wanted.base_sha, header.refs[wanted.ref], limits)
    commits = _judge(inspection, protected=wanted.protected, limits=limits)
    report = _report(inspection, commits, size=size, digest=digest)
    git.run("update-ref", wanted.ref, report.head_sha)
    return report


def _inspection(git: Git, place: Path, base_sha: str, head_sha: str, limits: BundleLimits) -> Inspection:
    large = check_objects(
        git,
        _names_in_packs(git, place),
        max_unpacked_bytes=limits.max_unpacked_bytes,
        max_file_bytes=limits.max_file_bytes,
    )
    return Inspection(
        git=git,
        base_sha=base_sha,
        head_sha=head_sha,
        max_paths=limits.max_paths,
        max_file_bytes=limits.max_file_bytes,
        large=large,
    )


def _check_size(stream: BufferedReader, limits: BundleLimits) -> tuple[int, str]:
    size = stream.seek(0, 2)
    stream.seek(0)
    if size > limits.max_bytes:
        raise errors.BundleTooLarge(details={"size": size, "limit": limits.max_bytes})
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return size, digest


def _check_header(
    header: BundleHeader, *, ref: str, mirror: Path, base_sha: str, limits: BundleLimits
) -> None:
    git = Git(repository=mirror)
    if not mirror.is_dir() or not objects.has_commit(git, base_sha):
        raise BaseNotFound(details={"sha": base_sha})
    if ref not in header.refs:
        details = {"expected": ref, "found": sorted(header.refs)[:_SHOWN_REFS]}
        raise errors.ExpectedRefMissing(details=details)
    if header.refs[ref] == base_sha:
        raise errors.NoCommit
    for required in header.prerequisites:
        if not objects.has_commit(git, required):
            raise errors.ForeignHistory(details={"commit": required})
    if header.pack_objects > limits.max_objects:
        raise errors.BundleTooLarge(details={"objects": header.pack_objects, "limit": limits.max_objects})


def _unpack(
    stream: BinaryIO, header: BundleHeader, *, place: Path, mirror: Path, limits: BundleLimits
) -> Git:
    objects.create_bare(place, alternates=mirror)
    git = Git(
        repository=place,
        durable=False,
        settings=(f"core.bigFileThreshold={limits.max_file_bytes}",),
        limits=GitLimits(
            timeout_seconds=limits.timeout_seconds,
            cpu_seconds=limits.cpu_seconds,
            file_bytes=limits.max_bytes + limits.max_unpacked_bytes,
            output_bytes=max(16 * _MIB, 2 * limits.max_file_bytes),
        ),
    )
    strict = "--strict=badFilemode=error,zeroPaddedFilemode=error"
    stream.seek(header.pack_offset)
    git.run(
        "index-pack", "--stdin", "--fix-thin", strict, f"--max-input-size={limits.max_bytes}", stdin=stream
    )
    return git


def _names_in_packs(git: Git, place: Path) -> list[str]:
    names: list[str] = []
    for index in (place / "objects" / "pack").glob("*.idx"):
        with index.open("rb") as stream:
            listing = git.run("show-index", stdin=stream).output
        names += [line.split(b" ")[1].decode() for line in listing.splitlines()]
    return names


def _judge(inspection: Inspection, *, protected: tuple[str, ...], limits: BundleLimits) -> list[str]:
    if not objects.has_commit(inspection.git, inspection.head_sha):
        raise errors.BundleMalformed("The bundle lacks its own head", details={"part": "pack"})
    commits = inspection.check_history(max_commits=limits.max_commits)
    inspection.check_trees(commits)
    inspection.check_protected(protected)
    inspection.check_secrets(commits)
    return commits


def _report(inspection: Inspection, commits: Sequence[str], *, size: int, digest: str) -> BundleReport:
    additions, deletions = inspection.line_counts()
    changed = inspection.changes(inspection.base_sha, inspection.head_sha)
    return BundleReport(
        base_sha=inspection.base_sha,
        head_sha=inspection.head_sha,
        commits=tuple(
            CommitSummary(sha=name, subject=_subject(content))
            for name, content in objects.read_objects(inspection.git, commits)
        ),
        paths=tuple(change.path for change in changed),
        additions=additions,
        deletions=deletions,
        size=size,
        sha256=digest,
    )


def _subject(commit: bytes) -> str:
    message = commit.partition(b"\n\n")[2].decode("utf-8", "replace").strip()
    return redact("".join(c for c in message.partition("\n")[0] if c.isprintable()))[:200]


@contextlib.contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except (GitLimitExceeded, GitOutputTooLarge) as error:
        raise errors.BundleTooLarge("The bundle needs too much to be read", details=error.details) from error
    except GitFailed as error:
        raise errors.BundleMalformed(
            f"The bundle is damaged: {error.message}", details=error.details
        ) from error
    except objects.ObjectNotFound as error:
        raise errors.BundleMalformed("The bundle is incomplete", details=error.details) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from error
        raise
