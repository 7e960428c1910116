"""Files appear whole or not at all, are what they were, and stay while somebody needs them."""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apps import storage
from tests.apps.projects.rig import fill, small_disk

pytestmark = pytest.mark.unit

WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "storage"
    return tmp_path / "storage"


@pytest.fixture(autouse=True)
def references() -> Iterator[dict[str, Any]]:
    known = dict(storage._references)
    storage._references.clear()
    yield storage._references
    storage._references.clear()
    storage._references.update(known)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"bundle" * 1000)
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def workspace(sha: str = "a" * 40) -> str:
    return storage.workspace_name(project_id=uuid4(), sha=sha)


def age(root: Path, name: str, age: timedelta) -> None:
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(root / name, (moment, moment))


def collect(**changes: Any) -> list[str]:
    return storage.collect_garbage(**{"unused_for": WEEK, "now": datetime.now(UTC), **changes})


def test_saved_file_is_read_back(file, tmp_path):
    name = workspace()

    saved = storage.save_bundle(file, name=name)
    copied = storage.copy_to(name, tmp_path / "copy", sha256=saved.sha256)
    with storage.open_bundle(name, sha256=saved.sha256) as stream:
        content = stream.read()

    assert saved == copied == storage.find_bundle(name)
    assert (saved.sha256, saved.size) == (digest(file.read_bytes()), 6000)
    assert content == (tmp_path / "copy").read_bytes() == file.read_bytes()


def test_only_the_owner_can_read_what_is_stored(file, root):
    name = workspace()

    storage.save_bundle(file, name=name)

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_name_is_written_once(file, tmp_path):
    name = workspace()
    first = storage.save_bundle(file, name=name)
    file.write_bytes(b"another content")

    second = storage.save_bundle(file, name=name)

    assert second == first
    assert storage.copy_to(name, tmp_path / "copy").sha256 == first.sha256


@pytest.mark.parametrize(
    "name",
    [
        "",
        "workspaces/x.bundle",
        "../workspaces/" + "a" * 40 + ".bundle",
        f"workspaces/{uuid4()}/../../../etc/passwd",
        f"workspaces/{uuid4()}/{'a' * 40}.bundle/..",
        f"/workspaces/{uuid4()}/{'a' * 40}.bundle",
        f"workspaces/{uuid4()}/{'a' * 40}.bundle\n",
        f"workspaces/{uuid4()}/{'A' * 40}.bundle",
        f"checkouts/{uuid4()}",
        f"checkouts/{uuid4()}.bundle\0",
        f"snapshots/{uuid4()}/{'a' * 63}.bundle",
    ],
)
def test_name_that_was_not_given_out_is_refused(name, file, tmp_path):
    with pytest.raises(storage.BadName):
        storage.save_bundle(file, name=name)
    with pytest.raises(storage.BadName):
        storage.open_bundle(name)
    with pytest.raises(storage.BadName):
        storage.copy_to(name, tmp_path / "copy")
    with pytest.raises(storage.BadName):
        storage.delete_bundle(name)

    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("sha", ["HEAD", "../x", "a" * 39, "A" * 40])
def test_name_is_not_made_of_anything_but_digests_and_ids(sha):
    with pytest.raises(storage.BadName):
        storage.workspace_name(project_id=uuid4(), sha=sha)
    with pytest.raises(storage.BadName):
        storage.snapshot_name(worker_id=uuid4(), sha256=sha)
    with pytest.raises(ValueError, match="badly formed"):
        storage.checkout_name(merge_request_id=sha)


def test_missing_bundle_is_missing_and_not_damaged(tmp_path):
    name = workspace()

    with pytest.raises(storage.BundleMissing):
        storage.open_bundle(name)
    with pytest.raises(storage.BundleMissing):
        storage.copy_to(name, tmp_path / "copy")
    storage.delete_bundle(name)

    assert storage.find_bundle(name) is None


def test_damage_is_noticed_when_reading(file, root, tmp_path):
    name = workspace()
    saved = storage.save_bundle(file, name=name)
    (root / name).write_bytes(b"rotten")

    with pytest.raises(storage.BundleDamaged):
        storage.open_bundle(name, sha256=saved.sha256)
    with pytest.raises(storage.BundleDamaged):
        storage.copy_to(name, tmp_path / "copy", sha256=saved.sha256)

    assert not (tmp_path / "copy").exists()


def test_snapshot_carries_its_digest_in_its_name(file, root):
    name = storage.snapshot_name(worker_id=uuid4(), sha256=digest(file.read_bytes()))
    storage.save_bundle(file, name=name)
    (root / name).write_bytes(b"rotten")

    with pytest.raises(storage.BundleDamaged):
        storage.open_bundle(name)
    lie = storage.snapshot_name(worker_id=uuid4(), sha256="0" * 64)
    with pytest.raises(storage.BundleDamaged):
        storage.save_bundle(file, name=lie)

    assert storage.find_bundle(lie) is None


def test_full_disk_stores_nothing_and_says_so(file, root, tmp_path):
    with small_disk(root) as mounted:
        if not mounted:
            pytest.skip("this machine does not let us mount a small disk")
        ballast = fill(root)
        with pytest.raises(storage.DiskFull) as refusal:
            storage.save_bundle(file, name=workspace())
        left = {path for path in root.rglob("*") if path.is_file()}

    assert refusal.value.error_code == "disk_full"
    assert left == {ballast}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, storage.DiskFull),
        (errno.EDQUOT, storage.DiskFull),
        (errno.EIO, storage.StorageUnavailable),
    ],
)
def test_refusal_of_the_file_system_is_ours_to_wait_for(number, expected):
    with pytest.raises(expected), storage.file_errors():
        raise OSError(number, os.strerror(number))


def test_simultaneous_writers_of_one_name_get_the_same_file(tmp_path, root):
    name, barrier, answers = workspace(), threading.Barrier(6), []

    def save(number: int) -> None:
        path = tmp_path / f"file-{number}"
        path.write_bytes(bytes([number]) * 100_000)
        barrier.wait()
        answers.append(storage.save_bundle(path, name=name))

    threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 6
    assert len(set(answers)) == 1
    assert [path.name for path in root.rglob("*") if path.is_file()] == [Path(name).name]


class TestGarbage:
    def test_unused_and_unneeded_bundle_is_deleted(self, file, root):
        name = workspace()
        storage.save_bundle(file, name=name)
        age(root, name, timedelta(days=8))

        removed = collect()

        assert removed == [name]
        assert storage.find_bundle(name) is None

    def test_needed_bundle_stays_however_old(self, file, root):
        name = workspace()
        storage.save_bundle(file, name=name)
        age(root, name, timedelta(days=800))
        storage.register_references("workers", lambda: [])
        storage.register_references("projects", lambda: iter([name]))

        removed = collect()

        assert removed == []
        assert storage.find_bundle(name) is not None

    def test_young_bundle_stays_though_no_row_names_it_yet(self, file):
        storage.save_bundle(file, name=workspace())

        assert collect() == []

    def test_reading_counts_as_use(self, file, root, tmp_path):
        name = workspace()
        storage.save_bundle(file, name=name)
        age(root, name, timedelta(days=8))
        storage.copy_to(name, tmp_path / "copy")

        assert collect() == []

    def test_nothing_is_deleted_when_an_app_cannot_answer(self, file, root):
        name = workspace()
        storage.save_bundle(file, name=name)
        age(root, name, timedelta(days=8))

        def broken() -> list[str]:
            raise storage.StorageUnavailable

        storage.register_references("workers", broken)

        with pytest.raises(storage.StorageUnavailable):
            collect()
        assert storage.find_bundle(name) is not None

    def test_leftover_of_a_killed_writer_is_deleted_after_a_day(self, file, root):
        name = workspace()
        storage.save_bundle(file, name=name)
        leftover = (root / name).with_name(".x.bundle.0a.part")
        leftover.write_bytes(b"half")
        moment = (datetime.now(UTC) - timedelta(days=2)).timestamp()
        os.utime(leftover, (moment, moment))

        removed = collect()

        assert removed == []
        assert not leftover.exists()

    def test_foreign_files_are_left_alone(self, root):
        root.mkdir()
        (root / "uploads").mkdir()
        (root / "uploads" / "photo.jpg").write_bytes(b"x")
        age(root, "uploads/photo.jpg", timedelta(days=100))

        collect()

        assert (root / "uploads" / "photo.jpg").exists()

    def test_empty_storage_is_no_error(self):
        assert collect() == []
