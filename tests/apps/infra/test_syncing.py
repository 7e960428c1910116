"""What a provider's listing does to our rows, and what a failed one does not."""

from typing import Any

import pytest

from apps.infra import syncing
from apps.infra.models import Incident, Provisioning, Server, ServerStatus
from apps.infra.providers.allowing import AllowingProvider
from apps.infra.providers.base import Malformed, NotAllowed, ProviderAway, Throttled
from apps.periodic.recording import Run
from tests.factories import make_server
from tests.fakes_provider import FakeProvider

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MANAGED = ["time4vps:110", "time4vps:111"]


@pytest.fixture
def provider() -> FakeProvider:
    fake = FakeProvider()
    fake.add("110", address="203.0.113.10")
    return fake


def sync(provider: FakeProvider, managed: list[str] = MANAGED, *, times: int = 1) -> Run:
    for _ in range(times):
        run = Run("server_sync")
        guarded = AllowingProvider(provider, allowed=lambda: managed)
        syncing.sync_provider(guarded, managed_ids=managed, run=run)
    return run


def found(provider_id: str = "110") -> Server:
    return Server.objects.get(provider="time4vps", provider_id=provider_id)


def open_incidents() -> set[str]:
    return set(Incident.objects.filter(status="open").values_list("kind", flat=True))


def test_found_server_is_discovered_measured_and_left_alone(provider):
    run = sync(provider, times=2)

    server = found()
    assert (server.status, server.host, server.memory_mb, server.cpus) == (
        ServerStatus.DISCOVERED,
        "203.0.113.10",
        2_048,
        2,
    )
    assert (run.counts["listed"], run.counts["added"], run.failed) == (1, 0, 0)
    assert not Provisioning.objects.exists()
    assert {call.split()[0] for call in provider.calls} == {"list_servers", "get_details"}


@pytest.mark.parametrize("managed", [[], ["time4vps:4711"], ["110"]])
def test_server_that_nobody_listed_stays_unknown(provider, managed):
    sync(provider, managed)

    assert not Server.objects.filter(provider="time4vps").exists()
    assert provider.calls == ["list_servers"]


def test_row_that_left_the_list_of_managed_servers_is_not_missed(provider):
    sync(provider)

    sync(provider, [], times=5)

    assert (found().status, found().missed_listings) == (ServerStatus.DISCOVERED, 0)


@pytest.mark.parametrize("status", ["discovered", "pending_setup", "active", "unreachable", "maintenance"])
def test_server_is_missing_after_three_listings_without_it_and_comes_back_unset_up(provider, status):
    sync(provider)
    Server.objects.filter(provider_id="110").update(**{"status": status})
    provider.servers.clear()

    twice = sync(provider, times=2) and found().status
    sync(provider, times=3)
    missing, told = found().status, Incident.objects.filter(kind="server_missing").count()
    provider.add("110")
    run = sync(provider)

    assert (twice, missing, told) == (status, ServerStatus.MISSING, 1)
    assert (found().status, found().missed_listings, run.counts["returned"]) == (
        ServerStatus.DISCOVERED,
        0,
        1,
    )
    assert open_incidents() == set()


def test_server_in_the_middle_of_its_set_up_is_not_missed(provider):
    sync(provider)
    Server.objects.filter(provider_id="110").update(**{"status": "provisioning"})
    provider.servers.clear()

    sync(provider, times=5)

    assert found().status == ServerStatus.PROVISIONING


@pytest.mark.parametrize(
    "refusal", [ProviderAway(), Throttled(retry_after=7), Malformed(), NotAllowed()], ids=lambda e: e.code
)
def test_failed_listing_misses_nobody_and_is_one_incident(provider, refusal):
    sync(provider)
    provider.servers.clear()
    provider.refusal = refusal

    run = sync(provider, times=5)

    incident = Incident.objects.get()
    assert (found().status, found().missed_listings) == (ServerStatus.DISCOVERED, 0)
    assert (incident.key, incident.count, run.failed) == ("provider_away:time4vps", 5, 1)
    provider.refusal = None
    sync(provider)
    assert open_incidents() == set()


def test_listing_that_names_a_server_between_misses_begins_anew(provider):
    sync(provider)
    for _ in range(3):
        provider.servers.clear()
        sync(provider, times=2)
        provider.add("110")
        sync(provider)

    assert (found().status, found().missed_listings) == (ServerStatus.DISCOVERED, 0)


def test_two_servers_of_one_address_are_neither_added_nor_moved(provider):
    make_server(kind="ssh", host="203.0.113.11", name="by-hand")
    provider.add("111", address="203.0.113.11")

    run = sync(provider)

    assert (found().host, Server.objects.filter(provider_id="111").count()) == ("203.0.113.10", 0)
    assert (open_incidents(), run.failed) == ({"duplicate_address"}, 1)
    provider.add("111", address="203.0.113.12")
    sync(provider)
    assert (found("111").host, open_incidents()) == ("203.0.113.12", set())


def test_two_listed_servers_of_one_address_are_both_wrong(provider):
    provider.add("111", address="203.0.113.10")

    run = sync(provider)

    assert (Server.objects.filter(provider="time4vps").count(), run.failed) == (0, 2)


@pytest.mark.parametrize("address", ["", "not an address", "203.0.113.999", "example.com; rm -rf /"])
def test_server_without_a_usable_address_is_told_and_the_others_go_on(provider, address):
    provider.add("111", address=address)

    run = sync(provider)

    assert (found().host, run.failed, open_incidents()) == ("203.0.113.10", 1, {"unusable_address"})


def test_address_of_the_next_generation_is_an_address(provider):
    provider.add("111", address="2001:DB8::7")

    sync(provider)

    assert found("111").host == "2001:db8::7"


def test_server_that_lost_its_address_keeps_the_known_one_and_is_not_missed(provider):
    sync(provider)
    provider.add("110", address="")

    sync(provider, times=4)

    assert (found().host, found().status) == ("203.0.113.10", ServerStatus.DISCOVERED)
    assert Incident.objects.get().count == 4


def test_server_that_moved_is_found_at_its_new_address(provider):
    sync(provider)
    provider.add("110", address="203.0.113.20")

    run = sync(provider)

    assert (found().host, run.counts["moved"]) == ("203.0.113.20", 1)


def test_throttled_details_come_with_a_later_run(provider):
    class Busy(FakeProvider):
        def get_details(self, provider_id: str) -> Any:
            raise Throttled(retry_after=7)

    busy = Busy(servers=provider.servers)
    run = sync(busy)
    before = found().memory_mb

    sync(provider)

    assert (before, run.failed, found().memory_mb) == (None, 1, 2_048)


def test_servers_whose_size_nobody_tells_keep_it_from_no_other(provider):
    managed = [f"time4vps:{number}" for number in range(110, 118)]
    for number in range(111, 118):
        provider.add(str(number), address=f"203.0.113.{number - 100}")
    make_server(kind="ssh", host="203.0.113.99", provider="time4vps", provider_id="5")
    wanted = provider.get_details

    def get_details(provider_id):
        if int(provider_id) < 115:
            raise Malformed()
        return wanted(provider_id)

    provider.get_details = get_details
    first = sync(provider, managed)

    second = sync(provider, managed)

    assert (first.counts.get("measured", 0), first.failed) == (0, 5)
    assert second.counts["measured"] == 3
    assert found("117").memory_mb


def test_server_that_was_given_up_is_left_alone(provider):
    given_up = make_server(
        kind="ssh", host="203.0.113.77", provider="time4vps", provider_id="110", status="decommissioned"
    )

    sync(provider)

    assert (given_up.reload().status, given_up.host, given_up.last_seen_at) == (
        ServerStatus.DECOMMISSIONED,
        "203.0.113.77",
        None,
    )
