"""A container's own deadline."""

import queue

import pytest

from worker_image import deadline

pytestmark = pytest.mark.unit


def test_deadline_asks_first_and_ends_later() -> None:
    heard: queue.Queue[object] = queue.Queue()

    deadline.arm(
        {"CONTAINER_DEADLINE_SECONDS": "0.01"}, lambda: heard.put("stop"), die=heard.put, grace_seconds=0.01
    )

    assert [heard.get(timeout=10), heard.get(timeout=10)] == ["stop", 124]


@pytest.mark.parametrize("environment", [{}, {"CONTAINER_DEADLINE_SECONDS": "soon"}])
def test_without_a_deadline_nothing_happens(environment: dict[str, str]) -> None:
    heard: queue.Queue[object] = queue.Queue()

    deadline.arm(environment, lambda: heard.put("stop"), die=heard.put, grace_seconds=0)

    with pytest.raises(queue.Empty):
        heard.get(timeout=0.05)
