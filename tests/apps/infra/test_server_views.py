"""Servers over REST and on their pages: operators have them set up, others look."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.infra.identities import find_installed, make_key_pair
from apps.infra.models import IdentityPurpose, Provisioning, Server
from apps.roles import Role
from tests.admin_rows import list_of, operator, page_of
from tests.factories import make_deployment, make_server, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def api(role: Role = Role.OPERATOR) -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user(role=role))
    return client


def found() -> Server:
    return make_server(kind="ssh", status="discovered", host="203.0.113.7", admin_password="correct horse")


def test_a_set_up_is_asked_for_followed_and_canceled() -> None:
    server, client = found(), api()

    asked = client.post(f"/api/servers/{server.pk}/provision/", {}, format="json")
    again = client.post(f"/api/servers/{server.pk}/provision/", {}, format="json")
    listed = client.get(f"/api/provisionings/?server_id={server.pk}").json()["results"]
    canceled = client.post(f"/api/servers/{server.pk}/cancel/")

    assert (asked.status_code, asked.json()["status"]) == (202, "pending")
    assert (again.status_code, again.json()["details"]) == (409, {"provisioning": asked.json()["id"]})
    assert [row["id"] for row in listed] == [asked.json()["id"]]
    assert (canceled.status_code, canceled.json()["status"]) == (202, "canceled")


def test_a_repeated_request_of_one_key_is_one_set_up() -> None:
    server, client = found(), api()

    answers = [
        client.post(
            f"/api/servers/{server.pk}/provision/", {}, format="json", headers={"Idempotency-Key": "1"}
        )
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert server.provisionings.count() == 1


def test_this_machine_is_not_set_up() -> None:
    answer = api().post(f"/api/servers/{make_server().pk}/provision/", {}, format="json")

    assert answer.status_code == 409


def test_a_server_is_taken_out_and_brought_back() -> None:
    server = make_server(kind="ssh", ssh_user="deploy", host_key="ssh-ed25519 AAAA")
    address, client = f"/api/servers/{server.pk}/maintenance/", api()

    answers = [client.post(address), client.post(address), client.delete(address)]

    assert [answer.status_code for answer in answers] == [200, 409, 200]
    assert [answers[0].json()["status"], answers[2].json()["status"]] == ["maintenance", "active"]


def test_a_lost_server_is_given_up_once() -> None:
    server, client = make_server(kind="ssh", status="missing"), api()
    address = f"/api/servers/{server.pk}/decommission/"

    refused = api(Role.MEMBER).post(address)
    answers = [client.post(address), client.post(address)]

    assert [answer.status_code for answer in (refused, *answers)] == [403, 200, 409]
    assert answers[0].json()["status"] == "decommissioned"


def test_who_is_no_operator_looks_and_changes_nothing() -> None:
    server, client = found(), api(Role.MEMBER)

    answers = [
        client.get(f"/api/servers/{server.pk}/"),
        client.post(f"/api/servers/{server.pk}/provision/", {}, format="json"),
        client.post(f"/api/servers/{server.pk}/maintenance/"),
        client.get("/api/provisionings/"),
    ]

    assert [answer.status_code for answer in answers] == [200, 403, 403, 403]
    assert "correct horse" not in answers[0].content.decode()
    assert server.provisionings.count() == 0


def test_a_server_that_was_set_up_is_recovered_and_another_is_not() -> None:
    known, unknown, client = found(), make_server(kind="ssh", host="203.0.113.8"), api()
    Server.objects.filter(pk=known.pk).update(provisioned_at=timezone.now())

    answers = [client.post(f"/api/servers/{row.pk}/recover/", {}, format="json") for row in (known, unknown)]

    assert [answer.status_code for answer in answers] == [202, 409]
    assert (answers[0].json()["kind"], answers[1].json()["error"]) == ("recovery", "never_set_up")


# --- Erasing -----------------------------------------------------------------


@pytest.fixture
def rented(settings: Any) -> Server:
    settings.INFRA_MANAGED_SERVER_IDS = ["time4vps:110"]
    return make_server(
        kind="ssh",
        name="berlin",
        host="203.0.113.10",
        provider="time4vps",
        provider_id="110",
        provider_name="Data Server",
        last_seen_at=timezone.now(),
    )


def test_what_is_lost_is_told_and_has_to_be_repeated(rented: Server) -> None:
    release = make_deployment(server=rented, status="live", url="https://x.example", project_slug="shop")
    client, address = api(), f"/api/servers/{rented.pk}/reinstall/"

    told = client.get(address).json()
    refused = client.post(address, {"name": "berlin", "projects": []}, format="json")
    misspelt = client.post(address, {"name": "Berlin", "projects": [str(release.project_id)]}, format="json")
    asked = client.post(address, {"name": "berlin", "projects": [str(release.project_id)]}, format="json")

    assert (told["projects"], told["refusal"]) == ([{"id": str(release.project_id), "slug": "shop"}], "")
    assert (refused.status_code, refused.json()["error"]) == (409, "projects_not_named")
    assert misspelt.status_code in (400, 422)
    assert (asked.status_code, asked.json()["force_reinstall"]) == (202, True)
    row = Provisioning.objects.get()
    assert row.authorized_by_id == row.requested_by_id
    assert row.authorization_expires_at - row.authorized_at == timedelta(minutes=15)
    assert row.confirmed["projects"] == [str(release.project_id)]
    assert rented.reload().status == "active"


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_nobody_else_has_a_server_erased(rented: Server, role: Role) -> None:
    client, address = api(role), f"/api/servers/{rented.pk}/reinstall/"

    answers = [
        client.get(address),
        client.post(address, {"name": "berlin", "projects": []}, format="json"),
        client.post(f"/api/servers/{rented.pk}/recover/", {}, format="json"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert not Provisioning.objects.exists()


def test_the_page_shows_what_is_lost_and_asks_twice(rented: Server) -> None:
    release = make_deployment(server=rented, status="live", url="https://x.example", project_slug="shop")
    client, address = browser(), f"{list_of(Server)}{rented.pk}/erase/"
    said = {"name": "berlin", "is_understood": "on", "projects": str(release.project_id)}

    led = client.get(page_of(rented, "reinstall"))
    page = client.get(address).content.decode()
    unticked = client.post(address, {**said, "is_understood": ""})
    misspelt = client.post(address, {**said, "name": "berlim"})
    stale = client.post(address, {**said, "projects": ""})
    before = Provisioning.objects.count()
    asked = client.post(address, said)

    assert (led.status_code, led["Location"]) == (302, address)
    for words in ("shop", "Data Server", "203.0.113.10", "backup", str(release.project_id)):
        assert words in page
    assert [unticked.status_code, misspelt.status_code, stale.status_code] == [200, 200, 302]
    assert "This is not the server&#x27;s name." in misspelt.content.decode()
    assert (before, asked.status_code) == (0, 302)
    row = Provisioning.objects.get()
    assert row.force_reinstall
    assert LogEntry.objects.filter(object_id=str(rented.pk), change_message__contains="erased").exists()
    assert client.get(page_of(row)).status_code == 200


def test_a_server_that_nobody_named_is_shown_why_and_no_form(rented: Server, settings: Any) -> None:
    settings.INFRA_MANAGED_SERVER_IDS = []

    page = browser().get(f"{list_of(Server)}{rented.pk}/erase/").content.decode()

    assert "not_managed" in page
    assert 'name="name"' not in page


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_the_page_is_closed_to_who_does_not_run_the_installation(rented: Server, role: Role) -> None:
    client = Client()
    client.force_login(make_user(role=role))

    answer = client.post(
        f"{list_of(Server)}{rented.pk}/erase/", {"name": "berlin", "is_understood": "on", "projects": ""}
    )

    assert answer.status_code in (302, 403)
    assert not Provisioning.objects.exists()


def browser() -> Client:
    client = Client()
    client.force_login(operator())
    return client


def test_an_operator_adds_a_server_for_us_to_set_up() -> None:
    client, key = browser(), make_key_pair().private_key
    form: dict[str, Any] = {
        **{"name": "berlin", "host": "203.0.113.9", "ssh_port": 22, "ssh_user": "", "host_key": ""},
        **{"port_range_start": 8_000, "port_range_end": 8_100, "admin_user": "root", "needs_setup": "on"},
        **{"new_admin_password": "correct horse", "new_admin_identity": key},
    }

    answer = client.post(list_of(Server) + "add/", form)

    server = Server.objects.get(name="berlin")
    kept = find_installed(server_id=server.pk, purpose=IdentityPurpose.ADMIN)
    page = client.get(page_of(server)).content.decode()
    assert (answer.status_code, server.status, server.admin_password) == (
        302,
        "discovered",
        "correct horse",
    )
    assert kept is not None
    assert kept.private_key == key
    assert "correct horse" not in page
    assert key.splitlines()[2] not in page


@pytest.mark.parametrize(
    ("status", "button", "after"),
    [
        ("discovered", "set_up", "pending_setup"),
        ("active", "take_out", "maintenance"),
        ("maintenance", "bring_back", "pending_setup"),
        ("missing", "decommission", "decommissioned"),
    ],
)
def test_buttons_of_a_server_ask_the_service(status: str, button: str, after: str) -> None:
    server = make_server(kind="ssh", status=status)
    client = browser()

    answer = client.post(page_of(server, button), {"_form_submitted": "True"})

    assert answer.status_code == 302
    assert server.reload().status == after


def test_a_running_set_up_is_canceled_on_the_servers_page() -> None:
    server, client = found(), browser()
    client.post(page_of(server, "set_up"), {"_form_submitted": "True"})

    client.post(page_of(server, "cancel_set_up"), {"_form_submitted": "True"})

    row = Provisioning.objects.get(server=server)
    page = client.get(page_of(row))
    assert (row.status, page.status_code) == ("canceled", 200)
