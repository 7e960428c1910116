import os
import shutil

import pytest

from apps.units import layout

pytestmark = pytest.mark.unit


def test_absent_document_is_none(tmp_path):
    assert layout.read_json(str(tmp_path), "spec.json") is None


def test_document_is_replaced_as_a_whole_and_private(tmp_path):
    layout.write_json(str(tmp_path), "spec.json", {"a": 1})

    layout.write_json(str(tmp_path), "spec.json", {"b": 2})

    assert layout.read_json(str(tmp_path), "spec.json") == {"b": 2}
    assert (tmp_path / "spec.json").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["spec.json"]


def test_lock_is_held_by_one_and_seen_by_all(tmp_path):
    held = layout.try_lock(str(tmp_path), layout.LOCK)

    second = layout.try_lock(str(tmp_path), layout.LOCK)
    seen = layout.is_locked(str(tmp_path), layout.LOCK)

    os.close(held)
    assert (second, seen) == (None, True)
    assert not layout.is_locked(str(tmp_path), layout.LOCK)


def test_lock_survives_its_taker_in_whoever_inherited_it(tmp_path):
    held = layout.try_lock(str(tmp_path), layout.LOCK)
    inherited = os.dup(held)

    os.close(held)

    assert layout.is_locked(str(tmp_path), layout.LOCK)
    os.close(inherited)


def test_lock_of_an_absent_directory_is_not_held(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    shutil.rmtree(gone)

    assert not layout.is_locked(str(gone), layout.LOCK)
    with pytest.raises(FileNotFoundError):
        layout.try_lock(str(gone), layout.LOCK)
