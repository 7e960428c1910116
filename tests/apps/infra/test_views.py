"""Deployments over REST."""

import pytest
from rest_framework.test import APIClient

from tests.factories import make_deployment, make_server, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def api(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


def test_release_shows_no_secret_and_no_command(api, owner):
    row = make_deployment(owner_id=owner.pk, environment='{"API_KEY": "open-sesame"}')

    shown = api.get(f"/api/service_deployments/{row.pk}/")

    assert shown.status_code == 200
    assert "sesame" not in shown.content.decode()
    assert not {"environment", "run_command", "bundle_name"} & set(shown.json())


def test_live_release_is_stopped_once(api, owner):
    row = make_deployment(owner_id=owner.pk, status="live")

    first = api.post(f"/api/service_deployments/{row.pk}/stop/")
    second = api.post(f"/api/service_deployments/{row.pk}/stop/")

    assert (first.status_code, first.json()["status"]) == (202, "stopping")
    assert (second.status_code, second.json()["error"]) == (409, "illegal_transition")


def test_filters_narrow_and_refuse_what_they_do_not_know(api, owner):
    server = make_server()
    live = make_deployment(owner_id=owner.pk, server=server, status="live")
    make_deployment(owner_id=owner.pk, server=server)

    found = api.get("/api/service_deployments/", {"status": "live"}).json()["results"]

    assert [row["id"] for row in found] == [str(live.pk)]
    for query in ({"status": "asleep"}, {"project_id": "x"}, {"server_id": "x"}):
        answer = api.get("/api/service_deployments/", query)
        assert (answer.status_code, list(answer.json()["details"])) == (400, list(query))


def test_ports_of_others_are_not_listed(api, ask):
    ask()

    assert api.get("/api/allocations/").json()["results"] == []
