"""The ticks of servers: who is asked, and what is recorded."""

from collections.abc import Iterator

import pytest

from apps.infra import providing, server_tasks
from apps.infra.models import Server
from apps.infra.providers.base import NotAllowed
from apps.periodic.models import PeriodicJob
from tests.provider_server import PASSWORD, USERNAME, ProviderServer, outage

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def provider(settings) -> Iterator[ProviderServer]:
    with ProviderServer() as double:
        settings.TIME4VPS_USERNAME, settings.TIME4VPS_PASSWORD = USERNAME, PASSWORD
        settings.TIME4VPS_API_BASE_URL = double.url
        double.add_server(address="203.0.113.10")
        double.add_server(address="203.0.113.11")
        yield double


def test_only_named_servers_of_the_account_become_rows(provider, settings):
    settings.INFRA_MANAGED_SERVER_IDS = ["time4vps:111"]

    server_tasks.sync_servers()

    job = PeriodicJob.objects.get(name="server_sync")
    assert list(Server.objects.filter(provider="time4vps").values_list("name", flat=True)) == ["time4vps-111"]
    assert (job.last_outcome, job.last_counts["added"]) == ("succeeded", 1)


@pytest.mark.parametrize("managed", [[], ["time4vps:4711"]])
def test_nothing_happens_on_an_empty_list(provider, settings, managed):
    settings.INFRA_MANAGED_SERVER_IDS = managed

    server_tasks.sync_servers()

    assert not Server.objects.filter(provider="time4vps").exists()
    assert provider.seen == (["GET /api/server"] if managed else [])


def test_failure_of_the_provider_is_told_by_the_record(provider, settings):
    settings.INFRA_MANAGED_SERVER_IDS = ["time4vps:111"]
    provider.faults.append(outage())

    server_tasks.sync_servers()

    job = PeriodicJob.objects.get(name="server_sync")
    assert (job.last_outcome, job.last_counts["failed"]) == ("partly", 1)
    assert job.last_errors[0]["error"].startswith("provider_away")


def test_removed_server_is_refused_by_a_provider_that_was_made_before(provider, settings):
    settings.INFRA_MANAGED_SERVER_IDS = ["time4vps:111"]
    made = providing.get_provider("time4vps")
    settings.INFRA_MANAGED_SERVER_IDS = []

    with pytest.raises(NotAllowed):
        made.reinstall("111", system="kvm-debian-12-x86_64", public_key="")

    assert provider.seen == []


def test_there_is_nobody_to_ask_without_an_account():
    with pytest.raises(NotAllowed):
        providing.get_provider("time4vps")

    assert list(providing.list_providers()) == []
