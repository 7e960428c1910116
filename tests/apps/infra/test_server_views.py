"""Servers over REST and on their pages: operators have them set up, others look."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.infra.identities import find_installed, make_key_pair
from apps.infra.models import IdentityPurpose, Provisioning, Server
from apps.roles import Role
from tests.admin_rows import list_of, operator, page_of
from tests.factories import make_server, make_user

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
