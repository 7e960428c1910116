"""What becomes of Time4VPS's answers, good and bad."""

import logging
from collections.abc import Iterator

import pytest

from apps.infra.providers.base import Malformed, NotAllowed, ProviderAway, Throttled
from apps.infra.providers.time4vps import Time4Vps
from apps.infra.providers.time4vps_wire import password_in, retry_after_of, task_of
from apps.infra.providers.waiting import wait_for_task
from tests.provider_server import (
    PASSWORD,
    ProviderServer,
    broken,
    malformed,
    outage,
    silence,
    throttling,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        server.add_server()
        yield server


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (outage(500), ProviderAway),
        (outage(502), ProviderAway),
        (broken(), ProviderAway),
        (silence(), Malformed),
        (malformed(), Malformed),
        (malformed(b"null"), Malformed),
        (malformed(b'"none"'), Malformed),
        (malformed(b"[[]]"), Malformed),
        (malformed(b'[{"server_id": "many"}]'), Malformed),
        (malformed(b'[{"server_id": -1}]'), Malformed),
        (malformed(b'[{"ip": "203.0.113.1"}]'), Malformed),
        (malformed(b"<html>maintenance</html>"), Malformed),
        (malformed(b"[" * 50_000), Malformed),
        (malformed(b'{"error": ["Something else"]}'), NotAllowed),
        (throttling(seconds=7), Throttled),
        (throttling(seconds=7, status=429), Throttled),
    ],
    ids=lambda value: getattr(value, "__name__", "") or repr(getattr(value, "body", b"")[:30]),
)
def test_failed_listing_is_an_error_and_never_empty(provider, fault, error):
    provider.faults.append(fault)

    with pytest.raises(error) as raised:
        provider.client().list_servers()

    assert PASSWORD not in str(raised.value)
    assert len(provider.client().list_servers()) == 1


def test_empty_account_is_empty(provider):
    provider.servers.clear()

    assert provider.client().list_servers() == []


def test_one_line_that_cannot_be_read_spoils_the_listing(provider):
    provider.faults.append(malformed(b'[{"server_id": 1, "ip": "203.0.113.1"}, {"server_id": null}]'))

    with pytest.raises(Malformed) as raised:
        provider.client().list_servers()

    assert "server_id" in raised.value.message


def test_lone_server_may_come_as_the_documentation_shows_it(provider):
    provider.faults.append(malformed(b'{"server_id": 110, "ip": "1.2.3.4", "label": "Data Server"}'))

    assert [server.provider_id for server in provider.client().list_servers()] == ["110"]


def test_server_without_an_address_is_listed_without_one(provider):
    provider.add_server(address=None)

    assert [server.address for server in provider.client().list_servers()] == ["203.0.113.10", ""]


def test_wrong_password_is_told_from_throttling_by_the_words(provider):
    with pytest.raises(NotAllowed) as refused:
        provider.client(password="wrong").list_servers()
    provider.faults.append(throttling(seconds=7))
    with pytest.raises(Throttled) as throttled:
        provider.client().list_servers()

    assert refused.value.error_code == "provider_login_refused"
    assert throttled.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "header", "text", "seconds"),
    [
        (401, "", '{"error": ["wronglogin"]}', None),
        (401, "", "Too many requests. Try again in 2 minutes.", 120),
        (401, "30", "Too many requests", 30),
        (401, "", "Too many requests", 60),
        (429, "", "", 60),
        (429, "86400", "", 900),
        (403, "", "Rate limit reached, wait 12 s", 12),
        (500, "", "Too many connections", None),
        (200, "", "Too many cooks", None),
    ],
)
def test_interval_is_the_one_that_the_provider_names(status, header, text, seconds):
    assert retry_after_of(status, header, text) == seconds


@pytest.mark.parametrize(
    ("results", "password"),
    [
        ("Password: Xk9$mP3qR7", "Xk9$mP3qR7"),
        ("server_recreate done. New password: a&b", "a&b"),
        ("Password: <a onclick='this.innerHTML = \"Q&amp;7x\"'>Click</a>", "Q&7x"),
        ("VM rebooted successfully", ""),
        ("", ""),
    ],
)
def test_password_is_read_from_the_result(results, password):
    assert password_in(results) == password


def test_lost_answer_to_a_reinstallation_may_have_been_carried_out(provider):
    server = next(iter(provider.servers.values()))
    provider.faults.append(broken(after_the_effect=True))

    with pytest.raises(ProviderAway):
        provider.client().reinstall(str(server.server_id), system="kvm-debian-12-x86_64", public_key="")

    assert len(server.tasks) == 1
    assert provider.client().get_details(str(server.server_id)).is_busy


@pytest.mark.parametrize("number", ["", "1/../2", "../details", "1 2", "x", "1?y=1"])
def test_only_numbers_become_part_of_an_address(provider, number):
    with pytest.raises(NotAllowed):
        provider.client().get_details(number)

    assert provider.seen == []


def test_throttling_in_the_middle_of_a_wait_is_waited_for_and_the_password_is_not_lost(provider):
    client, server_id = provider.client(), next(iter(provider.servers))
    number = client.reset_password(str(server_id))
    slept: list[float] = []
    provider.faults += [throttling(seconds=11), throttling(seconds=13)]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        provider.finish_tasks()

    over = wait_for_task(
        client, provider_id=str(server_id), task=number, seconds=300, clock=lambda: sum(slept), sleep=sleep
    )

    assert slept == [11, 13]
    assert over.password == provider.servers[server_id].password


def test_outage_ends_a_wait(provider):
    client, server_id = provider.client(), str(next(iter(provider.servers)))
    number = client.reset_password(server_id)
    provider.faults.append(outage())

    with pytest.raises(ProviderAway):
        wait_for_task(client, provider_id=server_id, task=number, seconds=300, sleep=lambda _: None)


def test_nobody_at_the_address_is_an_outage_and_no_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    client = Time4Vps(username="ops", password=PASSWORD, url="http://127.0.0.1:1/api")

    with pytest.raises(ProviderAway):
        client.list_servers()

    assert PASSWORD not in caplog.text + repr(client) + repr(vars(client))


@pytest.mark.parametrize(
    ("active_task", "name", "number"),
    [
        (None, "", ""),
        ("", "", ""),
        (True, "", ""),
        ([], "", ""),
        ({"name": "server_recreate"}, "server_recreate", ""),
        ({"name": "server_recreate", "id": 9001}, "server_recreate", "9001"),
        ({"name": None, "task_id": "9001"}, "", "9001"),
        ({"name": "x", "id": "../1"}, "x", ""),
    ],
)
def test_task_under_way_is_read_and_never_guessed(active_task, name, number):
    assert task_of(active_task) == (name, number)


def test_number_of_the_task_under_way_is_told_if_the_provider_tells_it(provider):
    server = next(iter(provider.servers.values()))
    server.tells_numbers = True
    client = provider.client()
    number = client.reinstall(str(server.server_id), system="kvm-debian-12-x86_64", public_key="")

    assert client.get_details(str(server.server_id)).task == number
