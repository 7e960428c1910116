"""Two people edit the same thing: the second is told."""

import pytest
from rest_framework.test import APIClient

from apps.hooks.services import create_webhook
from apps.projects.models import ProjectStatus
from apps.roles import Role
from apps.workers.models import AgentConfig
from tests.factories import make_project, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def owner():
    return make_user(role=Role.OWNER)


@pytest.fixture
def client(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture(params=["projects", "agent_configs", "webhooks"])
def thing(request, owner):
    """The path of something that may be edited, and two edits of it."""
    if request.param == "projects":
        row = make_project(owner=owner, status=ProjectStatus.ACTIVE)
        return f"/api/projects/{row.pk}/", {"name": "One"}, {"name": "Two"}
    if request.param == "agent_configs":
        row = AgentConfig.objects.create(name="mine", agent_type="rehearsal")
        return f"/api/agent_configs/{row.pk}/", {"model": "one"}, {"model": "two"}
    row, _ = create_webhook(owner_id=owner.pk, url="https://a.example/", events=["task.failed"])
    return f"/api/webhooks/{row.pk}/", {"url": "https://b.example/"}, {"url": "https://c.example/"}


def test_edit_of_what_was_seen_happens_and_of_what_is_stale_does_not(client, thing):
    path, one, two = thing
    seen = client.get(path)["ETag"]

    first = client.patch(path, one, format="json", HTTP_IF_MATCH=seen)
    second = client.patch(path, two, format="json", HTTP_IF_MATCH=seen)

    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["error"] == "changed"
    now = client.get(path)
    assert now["ETag"] == first["ETag"] != seen
    assert now.json().items() >= one.items()


@pytest.mark.parametrize("header", [{}, {"HTTP_IF_MATCH": "*"}])
def test_who_does_not_ask_is_not_held_up(client, thing, header):
    path, one, _ = thing

    assert client.patch(path, one, format="json", **header).status_code == 200


@pytest.mark.parametrize("tag", ["nonsense", '"0"', "x" * 5_000])
def test_other_version_is_refused(client, thing, tag):
    path, one, _ = thing

    assert client.patch(path, one, format="json", HTTP_IF_MATCH=tag).status_code == 412
