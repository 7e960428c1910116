"""The files that several processes share: bundles and attachments, derived names in Django's default storage.

A name is written once: what is there stays until it is collected, so a reader
never meets a half-written file or another content than the row told it.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

from django.core.files.storage import default_storage

from apps.errors import Invalid, NotFound, Unavailable

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(
    rf"(?:workspaces/{_UUID}/[0-9a-f]{{40,64}}\.bundle|checkouts/{_UUID}\.bundle"
    rf"|(?:snapshots/{_UUID}(?=/[0-9a-f]+\.bundle)|attachments(?=/[0-9a-f]+\.file))"
    r"/(?P<sha256>[0-9a-f]{64})\.(?:bundle|file))"
)
_SHA: Final = re.compile(r"[0-9a-f]{40,64}")
_FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PART: Final = ".part"
_PART_LIFETIME: Final = timedelta(days=1)

_references: dict[str, Callable[[], Iterable[str]]] = {}


class BadName(Invalid):
    """This is not a name that the storage gives out."""

    code = "bad_name"


class BundleMissing(NotFound):
    """The storage holds no bundle of that name."""

    code = "bundle_missing"


class BundleDamaged(Unavailable):
    """The stored bundle is not the one that was saved."""

    code = "bundle_damaged"


class DiskFull(Unavailable):
    """The disk is full."""

    code = "disk_full"


class StorageUnavailable(Unavailable):
    """The storage refused."""

    code = "storage_unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBundle:
    """A bundle in the storage."""

    name: str
    sha256: str
    size: int  # bytes


def workspace_name(*, project_id: UUID, sha: str) -> str:
    """Return the name of a project's default branch at one commit."""
    if not _SHA.fullmatch(sha):
        raise BadName(details={"sha": "must be a full commit id"})
    return f"workspaces/{UUID(str(project_id))}/{sha}.bundle"


def snapshot_name(*, worker_id: UUID, sha256: str) -> str:
    """Return the name of a bundle that a worker uploaded; it carries the digest of its content."""
    return checked_name(f"snapshots/{UUID(str(worker_id))}/{sha256}.bundle")


def checkout_name(*, merge_request_id: UUID) -> str:
    """Return the name of our own bundle of a proposed change."""
    return f"checkouts/{UUID(str(merge_request_id))}.bundle"


def attachment_name(*, sha256: str) -> str:
    """Return the name of a file that somebody handed to us; it carries the digest of its content."""
    return checked_name(f"attachments/{sha256}.file")


def save_bundle(path: Path, *, name: str) -> StoredBundle:
    """Copy a file into the storage; it appears complete or not at all, and what is there already stays.

    Args:
        path: the file to copy.
        name: from one of the functions above.

    Raises:
        BadName: the name is not of those forms.
        BundleDamaged: the name carries a digest and the content has another one.
        DiskFull: nothing was stored.
        StorageUnavailable: the file system refused.

    """
    target = _path(name)
    with file_errors():
        _make_directory(target.parent)
        part = target.with_name(f".{target.name}.{secrets.token_hex(6)}{_PART}")
        try:
            with path.open("rb") as source, _create(part) as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            _check_digest(name, _digest(part), None)
            with contextlib.suppress(FileExistsError):
                os.link(part, target)
        finally:
            part.unlink(missing_ok=True)
        os.utime(target)
        return StoredBundle(name=name, sha256=_digest(target), size=target.stat().st_size)


def find_bundle(name: str) -> StoredBundle | None:
    """Return what is stored under a name, or None when there is nothing."""
    target = _path(name)
    with file_errors():
        try:
            return StoredBundle(name=name, sha256=_digest(target), size=target.stat().st_size)
        except FileNotFoundError:
            return None


def open_bundle(name: str, *, sha256: str | None = None) -> BinaryIO:
    """Open a bundle for reading, after its content was checked; the caller closes it.

    Args:
        name: as stored.
        sha256: what the row says; a name that carries a digest is checked without it, too.

    Raises:
        BadName, BundleMissing, BundleDamaged, StorageUnavailable: see there.

    """
    target = _path(name)
    with file_errors():
        try:
            _check_digest(name, _digest(target), sha256)
            os.utime(target)
            return target.open("rb")
        except FileNotFoundError as error:
            raise BundleMissing(details={"name": name}) from error


def copy_to(name: str, destination: Path, *, sha256: str | None = None) -> StoredBundle:
    """Copy a bundle out of the storage into a new file, checking its content.

    Args:
        name: as stored.
        destination: replaced if it exists.
        sha256: what the row says.

    Raises:
        BadName, BundleMissing, BundleDamaged, DiskFull, StorageUnavailable: see there.

    """
    with open_bundle(name, sha256=sha256) as stored, file_errors():
        try:
            with destination.open("wb") as copy:
                shutil.copyfileobj(stored, copy, 1 << 20)
            digest = _digest(destination)
            _check_digest(name, digest, sha256)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
        return StoredBundle(name=name, sha256=digest, size=destination.stat().st_size)


def delete_bundle(name: str) -> None:
    """Delete a bundle; an absent one is success."""
    with file_errors():
        _path(name).unlink(missing_ok=True)


def register_references(app: str, names: Callable[[], Iterable[str]]) -> None:
    """Tell the garbage collection how to ask an app for the names its rows still need.

    Args:
        app: who answers; registering again replaces the function.
        names: called at each collection; if it raises, nothing at all is deleted.

    """
    _references[app] = names


def registered_apps() -> frozenset[str]:
    """Return who answers for names in use."""
    return frozenset(_references)


def collect_garbage(*, unused_for: timedelta, now: datetime) -> list[str]:
    """Delete the bundles that no row needs and nobody has read or written for a while.

    Returns:
        The names that were deleted.

    """
    needed = {name for names in list(_references.values()) for name in names()}
    removed = []
    with file_errors():
        for path, name in _stored_files():
            if path.name.endswith(_PART):
                if _age(path, now) > _PART_LIFETIME:
                    path.unlink(missing_ok=True)
            elif name not in needed and _age(path, now) > unused_for:
                path.unlink(missing_ok=True)
                removed.append(name)
    return removed


@contextlib.contextmanager
def file_errors() -> Iterator[None]:
    """Turn the file system's refusals into errors of ours: a full disk, or anything else.

    Raises:
        DiskFull: the disk or the quota is full.
        StorageUnavailable: any other reason.

    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise DiskFull from error
        raise StorageUnavailable(f"The file system refused: {error.strerror or error}") from error


def checked_name(name: str) -> str:
    """Return a name of the forms above, or refuse it.

    Raises:
        BadName: it has another form.

    """
    if not _NAME.fullmatch(name):
        raise BadName(details={"name": "must be a derived name"})
    return name


def _path(name: str) -> Path:
    return Path(default_storage.path(checked_name(name)))


def _make_directory(directory: Path) -> None:
    root = Path(default_storage.path(""))
    between = [parent for parent in directory.parents if root in parent.parents]
    # One by one: `parents=True` would make the upper ones with looser modes.
    for part in (root, *reversed(between), directory):
        part.mkdir(mode=0o700, parents=part == root, exist_ok=True)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _digest(path: Path) -> str:
    with path.open("rb") as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest()


def _check_digest(name: str, found: str, expected: str | None) -> None:
    carried = _NAME.fullmatch(name)
    promised = {expected, carried["sha256"] if carried else None} - {None}
    if promised - {found}:
        raise BundleDamaged(details={"name": name})


def _stored_files() -> Iterator[tuple[Path, str]]:
    root = Path(default_storage.path(""))
    for kind in ("workspaces", "snapshots", "checkouts", "attachments"):
        for path in sorted((root / kind).rglob("*")):
            if path.is_file():
                yield path, str(path.relative_to(root))


def _age(path: Path, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
