"""A wrapper that waits for its environment."""

import json
import threading
from pathlib import Path

import pytest

from worker_image.contract import ENVIRONMENT_INPUT
from worker_image.environment import EnvironmentInvalid
from worker_image.handover import await_environment

pytestmark = pytest.mark.unit


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    return tmp_path / ENVIRONMENT_INPUT


def test_environment_is_taken_and_nothing_of_it_is_left(tmp_path: Path, delivery: Path) -> None:
    delivery.write_text(json.dumps({"name": "worker-1", "environment": {"TOKEN": "sesame"}}))

    given = await_environment(tmp_path)

    assert given == {"TOKEN": "sesame"}
    assert [path.name for path in tmp_path.rglob("*")] == [ENVIRONMENT_INPUT, "worker-1"]


def test_half_an_environment_is_waited_for(tmp_path: Path, delivery: Path) -> None:
    whole = json.dumps({"name": "worker-1", "environment": {"TOKEN": "sesame"}})
    delivery.write_text(whole[:20])
    late = threading.Timer(0.1, delivery.write_text, args=(whole,))
    late.start()

    given = await_environment(tmp_path)

    late.join()
    assert given == {"TOKEN": "sesame"}


def test_nothing_in_time_is_none(tmp_path: Path) -> None:
    assert await_environment(tmp_path, wait_seconds=0.05) is None


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": "worker-1", "environment": []}'])
def test_what_is_no_environment_is_refused(tmp_path: Path, delivery: Path, text: str) -> None:
    delivery.write_text(text)

    with pytest.raises(EnvironmentInvalid):
        await_environment(tmp_path)
