"""How much of the disk a worker's files take."""

from pathlib import Path

import pytest

from worker_image.disk import used_bytes

pytestmark = pytest.mark.unit


def test_files_at_any_depth_count_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "big").write_bytes(b"x" * 1_000_000)
    (tmp_path / "loop").symlink_to(tmp_path)

    used = used_bytes([tmp_path, tmp_path / "missing"])

    assert 1_000_000 <= used < 1_200_000


def test_hole_takes_no_room(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**9)

    assert used_bytes([tmp_path]) < 1_000_000


def test_look_at_very_many_files_ends(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").write_bytes(b"x" * 5_000)

    assert used_bytes([tmp_path], max_entries=50) < used_bytes([tmp_path])
