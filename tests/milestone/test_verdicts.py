"""What the running system says of a real agent that falls silent, and of one that was killed."""

import time

import pytest

from tests.milestone.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]

STALLED_SECONDS = 90
DEAD_SECONDS = 10


def wait_for_verdict(building: Site, worker: str, verdict: str, *, seconds: float) -> dict[str, object]:
    """Wait until a worker's row carries a verdict; returns the row."""
    until = time.monotonic() + seconds
    while (row := building.row("workers_worker", worker))["verdict"] != verdict:
        assert time.monotonic() < until, (row["verdict"], row["verdict_ground"], row["verdict_detail"])
        time.sleep(0.2)
    return row


def test_silent_agent_is_called_stalled_and_a_killed_one_dead(building: Site) -> None:
    worker = building.worker("vera", agent_type="claude")
    turn = building.foreman.send_turn(worker, "fall silent for good", timeout_seconds=200)
    asked = time.monotonic()
    while not any("fall silent for good" in item.conversation.text for item in building.model.asked):
        assert time.monotonic() - asked < 60
        time.sleep(0.1)

    silent_at = time.monotonic()
    wait_for_verdict(building, worker, "stalled", seconds=STALLED_SECONDS)
    stalled_after = time.monotonic() - silent_at
    building.runtime.connection.client().containers.get(f"worker-{worker}").kill()
    killed_at = time.monotonic()
    wait_for_verdict(building, worker, "dead", seconds=DEAD_SECONDS)

    print(f"\nstalled after {stalled_after:.1f} s, dead after {time.monotonic() - killed_at:.1f} s")
    assert building.wait_for_turn(turn, seconds=60)["status"] == "crashed"
