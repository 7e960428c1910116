"""The bounds that all processes share."""

import threading
import time
from typing import Any

import pytest
from redis import Redis

from apps.projects.forge import base, hosting
from apps.projects.forge.github.limits import Limits
from tests.apps.projects.forge.github.scripted import said

pytestmark = pytest.mark.service


def limits(shared: Any, **changes: Any) -> Limits:
    bounds = {"max_concurrent": 2, "hourly_budget": 10, "patience_seconds": 0.1, **changes}
    return Limits(shared, name="test", **bounds)


def test_calls_under_way_are_bounded_over_all_processes(shared):
    mine, others = limits(shared), limits(shared)

    with mine.call(), others.call(), pytest.raises(hosting.ForgeRateLimited) as refused, mine.call():
        pass

    assert refused.value.details == {"retry_after": 5, "limit": "concurrency"}
    with mine.call():
        assert others.used == 3


def test_place_is_waited_for(shared):
    patient = limits(shared, max_concurrent=1, patience_seconds=5)
    held, entered = threading.Event(), []

    def hold() -> None:
        with patient.call():
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    with patient.call():
        entered.append(True)
    thread.join(5)

    assert entered == [True]


def test_hundred_threads_never_exceed_the_places(shared):
    bounded = limits(shared, max_concurrent=5, hourly_budget=1_000, patience_seconds=30)
    under_way, most, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal under_way, most
        with bounded.call():
            with guard:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with guard:
                under_way -= 1

    threads = [threading.Thread(target=work) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert bounded.used == 60
    assert most <= 5


def test_place_of_a_killed_process_is_free_again(shared):
    shared.zadd("github:test:leases", {"of a killed process": 1.0, "of another": 2.0})

    with limits(shared).call():
        assert shared.zcard("github:test:leases") == 1


def test_hour_is_spent_together_and_says_when_it_ends(shared):
    for _ in range(10):
        with limits(shared).call():
            pass

    with pytest.raises(hosting.ForgeRateLimited) as refused, limits(shared).call():
        pass

    assert refused.value.details["limit"] == "budget"
    assert 0 < refused.value.details["retry_after"] <= 3_600


def test_new_hour_begins_at_nothing(shared):
    shared.hset("github:test:hour", mapping={"hour": 1, "used": 10})

    with limits(shared).call():
        assert limits(shared).used == 1


def test_unchanged_answer_costs_nothing(shared):
    with limits(shared).call() as call:
        call.is_free = True

    assert limits(shared).used == 0


def test_failed_call_gives_its_place_back_and_counts(shared):
    with pytest.raises(ZeroDivisionError), limits(shared).call():
        raise ZeroDivisionError

    assert shared.zcard("github:test:leases") == 0
    assert limits(shared).used == 1


@pytest.mark.parametrize("status", [403, 429, 200])
def test_pause_holds_for_every_process(status, shared):
    reset = str(int(time.time()) + 30)
    told = (
        {"retry_after": "30"} if status != 200 else {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}
    )

    limits(shared).observe(said(status, None, **told))

    with pytest.raises(hosting.ForgeRateLimited) as refused, limits(shared).call():
        pass

    assert refused.value.details["limit"] == "host"
    assert 25 <= refused.value.details["retry_after"] <= 32


def test_pause_is_only_ever_made_longer(shared):
    bounded = limits(shared)

    bounded.pause(100)
    bounded.pause(5)

    with pytest.raises(hosting.ForgeRateLimited) as refused, bounded.call():
        pass
    assert refused.value.details["retry_after"] > 90


def test_pause_ends(shared):
    bounded = limits(shared)
    bounded.pause(1)
    time.sleep(1.1)

    with bounded.call():
        assert bounded.used == 1


@pytest.mark.parametrize("answer", [said(200), said(404), said(200, None, x_ratelimit_remaining="5")])
def test_ordinary_answer_pauses_nobody(answer, shared):
    limits(shared).observe(answer)

    with limits(shared).call():
        assert limits(shared).used == 1


def test_missing_server_means_wait_and_not_go(shared):
    away = Limits(Redis(port=1, socket_connect_timeout=0.2), name="test", max_concurrent=2, hourly_budget=10)

    with pytest.raises(base.ForgeUnavailable), away.call():
        pass
