"""An idle Product Owner's container is paused by the running system, and a message wakes it."""

import time

import pytest

from tests.journeys.world import eventually
from tests.milestone.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]

#: The bar is one second; a busy machine gets three times as long.
WAKING_SECONDS = 3.0
#: The system's own sweep finds the idle one.
PAUSING_SECONDS = 60


def test_message_wakes_a_paused_container_and_is_answered(building: Site) -> None:
    worker = building.worker("ida", agent_type="claude")
    building.turn(worker, "my number is 41")
    container = building.runtime.connection.client().containers.get(f"worker-{worker}")
    # Its last turn is moved into the past: nobody waits for half an hour here.
    long_ago = "UPDATE workers_turn SET finished_at = now() - interval '40 minutes' WHERE worker_id = %s"
    building.world.rows(f"{long_ago} RETURNING id", worker)

    def phase() -> str:
        container.reload()
        return str(container.status)

    assert eventually(lambda: phase() == "paused", seconds=PAUSING_SECONDS)
    assert building.wait_for_worker(worker, "paused", seconds=10) == "paused"
    asked_at = time.monotonic()
    turn = building.foreman.send_turn(worker, "what did I say")
    while phase() != "running":
        assert time.monotonic() - asked_at < WAKING_SECONDS
        time.sleep(0.01)
    seconds = time.monotonic() - asked_at
    answer = building.wait_for_turn(turn)

    print(f"\nwoken {seconds:.2f} s after the message")
    assert answer["status"] == "succeeded", answer
    assert "my number is 41" in answer["result"]["text"]
