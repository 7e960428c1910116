"""What a run of chaos leaves behind."""

import json
from pathlib import Path

import pytest

from scripts import chaos

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("is_all", "kept"), [(False, {"processes": ["old"], "chats": ["new"]}), (True, {"chats": ["new"]})]
)
def test_a_part_of_it_takes_its_place_among_the_others(
    tmp_path: Path, is_all: bool, kept: dict[str, list[str]]
) -> None:
    target = tmp_path / "latest.json"
    chaos.keep({"processes": ["old"], "chats": ["old"]}, target, is_all=True)

    chaos.keep({"chats": ["new"]}, target, is_all=is_all)

    assert json.loads(target.read_text()) == kept
