"""What the edge reads from the settings, and what it says when they are wrong."""

from contextlib import ExitStack, suppress

import pytest

from orchestrator.edge.config import EdgeConfig, EdgeMisconfigured, Upstream
from orchestrator.edge.gate import Full, Gate, Limits, LineBudget
from orchestrator.edge.listeners import LIMITS
from orchestrator.edge.privileges import OPEN_FILES
from orchestrator.installation import bridge_name, installation_id

pytestmark = pytest.mark.unit

VALUES = {
    "SECRET_KEY": "a secret",
    "WORKERS_API_URL": "http://127.0.0.1:8001",
    "CHANNEL_REDIS_URL": "rediss://:pass%20word@channel.example:6390/0",
}


def test_settings_name_the_servers_the_interface_and_what_may_be_reached():
    config = EdgeConfig.from_values({**VALUES, "WORKERS_EGRESS_ALLOW": "mirror.corp, 10.0.0.0/8,"})

    assert config.api == Upstream(host="127.0.0.1", port=8001)
    assert config.channel == Upstream(host="channel.example", port=6390, has_tls=True)
    assert config.interface == bridge_name(installation_id("a secret"))
    assert config.is_open
    assert config.sources == 20
    assert "pass" not in repr(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS_EGRESS", "sometimes"),
        ("WORKERS_EGRESS_ALLOW", "http://x"),
        ("WORKERS_API_URL", ""),
        ("WORKERS_API_URL", "http://x:port"),
        ("CHANNEL_REDIS_URL", "redis://:secret@:x"),
        ("WORKERS_MAX_CONCURRENT", "many"),
        ("WORKERS_MAX_CONCURRENT", "0"),
    ],
)
def test_a_wrong_setting_is_named_and_its_secrets_are_not(name, value):
    with pytest.raises(EdgeMisconfigured, match=name) as caught:
        EdgeConfig.from_values({**VALUES, name: value})

    assert "secret" not in str(caught.value)


def test_an_interface_s_name_fits_linux_whatever_the_installation_is_called():
    names = [bridge_name(word) for word in ("0123456789ab", "x" * 40, "production-1", "a")]

    assert names[0] == "cg-0123456789ab"
    assert len(set(names)) == 4
    assert all(len(name) <= 15 for name in names)


def test_places_are_counted_by_source_and_given_back():
    gate = Gate(limits=Limits(total=3, per_source=2))

    with gate.passing("a"), gate.passing("a"):
        with pytest.raises(Full, match="One address may hold 2"), gate.passing("a"):
            pass
        with gate.passing("b"), pytest.raises(Full, match="All together hold 3"), gate.passing("c"):
            pass
    with gate.passing("a"), gate.passing("b"), gate.passing("c"):
        assert gate.limits.total == 3


def test_one_source_gets_its_lines_of_a_minute_and_no_more():
    now = [0.0]
    budget = LineBudget(per_minute=2, clock=lambda: now[0])

    first = [budget.allows("a") for _ in range(4)] + [budget.allows("b")]
    now[0] = 61.0

    assert first == [True, True, False, False, True]
    assert budget.allows("a")


def hold(gate: Gate, stack: ExitStack, source: str) -> int:
    """Take every place that a source can get; returns how many."""
    count = 0
    with suppress(Full):
        while True:
            stack.enter_context(gate.passing(source))
            count += 1
    return count


@pytest.mark.parametrize("listener", LIMITS)
@pytest.mark.parametrize("workers", [1, 8, 10, 20, 50])
def test_all_the_others_together_cannot_keep_a_worker_out(listener, workers):
    sources = EdgeConfig.from_values({**VALUES, "WORKERS_MAX_CONCURRENT": str(workers)}).sources
    limits = LIMITS[listener]
    gate = Gate(limits=limits, sources=sources)

    with ExitStack() as stack:
        greedy = [hold(gate, stack, f"10.0.0.{number}") for number in range(sources - 1)]
        late = hold(gate, stack, "10.0.0.250")

    assert late >= min(limits.assured, limits.total // sources) >= 5
    assert greedy[0] == limits.per_source or sources > 20
    assert sum(greedy) + late <= limits.total


def test_a_source_beyond_the_expected_ones_gets_what_is_left():
    gate = Gate(limits=Limits(total=6, per_source=4, assured=2), sources=2)

    with ExitStack() as stack:
        held = [hold(gate, stack, source) for source in ("a", "b", "c")]

    assert held == [4, 2, 0]
    assert hold(gate, ExitStack(), "c") == 4


def test_what_the_limits_allow_fits_the_open_files():
    assert 2 * sum(limits.total for limits in LIMITS.values()) < OPEN_FILES
