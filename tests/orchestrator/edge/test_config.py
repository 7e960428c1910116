"""What the edge reads from the settings, and what it says when they are wrong."""

import pytest

from orchestrator.edge.config import EdgeConfig, EdgeMisconfigured, Upstream
from orchestrator.edge.gate import Full, Gate, Limits, LineBudget
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
    assert "pass" not in repr(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS_EGRESS", "sometimes"),
        ("WORKERS_EGRESS_ALLOW", "http://x"),
        ("WORKERS_API_URL", ""),
        ("WORKERS_API_URL", "http://x:port"),
        ("CHANNEL_REDIS_URL", "redis://:secret@:x"),
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
        with pytest.raises(Full, match="A worker may hold 2"), gate.passing("a"):
            pass
        with gate.passing("b"), pytest.raises(Full, match="All workers together hold 3"), gate.passing("c"):
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
