"""Incidents and measurements over REST and in the admin."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from apps.infra import incidents
from apps.infra.models import Incident, ServerMetric
from apps.roles import Role
from tests.factories import make_server, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def operator():
    return make_user(role=Role.OPERATOR)


@pytest.fixture
def api(operator):
    client = APIClient()
    client.force_authenticate(operator)
    return client


@pytest.fixture
def incident():
    server = make_server()
    incidents.report(kind="disk_full", subject=f"server:{server.pk}", message="full", server_id=server.pk)
    return Incident.objects.get()


def test_operator_lists_what_is_open_and_closes_it(api, operator, incident):
    listed = api.get("/api/incidents/", {"status": "open"}).json()["results"]
    closed = [api.post(f"/api/incidents/{incident.pk}/resolve/") for _ in range(2)]
    left = api.get("/api/incidents/", {"status": "open"}).json()["results"]

    assert [(row["id"], row["kind"], row["server_id"]) for row in listed] == [
        (incident.pk, "disk_full", incident.server_id)
    ]
    assert [(answer.status_code, answer.json()["status"]) for answer in closed] == [(200, "resolved")] * 2
    assert closed[0].json()["resolved_by_id"] == operator.pk
    assert left == []


def test_incident_that_is_not_there_is_not_found(api):
    assert api.post("/api/incidents/4711/resolve/").status_code == 404


def test_what_could_not_be_measured_is_null(api):
    server = make_server()
    ServerMetric.objects.create(server=server, cpus=2)
    ServerMetric.objects.create(server=make_server(), cpus=8)

    listed = api.get("/api/server_metrics/", {"server_id": server.pk}).json()["results"]

    assert [(row["cpus"], row["disk_free_mb"]) for row in listed] == [(2, None)]


def test_admin_closes_an_incident_by_a_button(operator, incident):
    browser = Client()
    browser.force_login(operator)

    page = browser.get(f"/admin/infra/incident/{incident.pk}/change/")
    browser.post(f"/admin/infra/incident/{incident.pk}/resolve/", {"_form_submitted": "True"})

    incident.refresh_from_db()
    assert (page.status_code, incident.status, incident.resolved_by_id) == (200, "resolved", operator.pk)
