"""Pages of servers and deployments: what they show and what their buttons do."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from apps.infra.models import DeploymentStatus, ServiceDeployment
from tests.admin_rows import Story, list_of, operator, page_of
from tests.factories import make_deployment

pytestmark = [pytest.mark.service, pytest.mark.django_db]

CONFIRMED = {"_form_submitted": "True"}


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_live_deployment_is_a_link_and_a_stopped_one_is_text(client: Client) -> None:
    live = make_deployment(status=DeploymentStatus.LIVE, url="http://127.0.0.1:21001")
    stopped = make_deployment(status=DeploymentStatus.STOPPED, url="http://127.0.0.1:21002")

    answers = [client.get(page_of(row)).content.decode() for row in (live, stopped)]

    assert 'href="http://127.0.0.1:21001"' in answers[0]
    assert 'href="http://127.0.0.1:21002"' not in answers[1]
    assert "http://127.0.0.1:21002" in answers[1]


def test_server_shows_its_ports(client: Client) -> None:
    story = Story()

    text = client.get(page_of(story.deployment.server)).content.decode()

    assert "21004" in text
    assert page_of(story.deployment) in text


def test_stop_asks_a_live_deployment_to_stop(client: Client) -> None:
    deployment = make_deployment(status=DeploymentStatus.LIVE)

    response = client.post(page_of(deployment, "stop"), CONFIRMED)

    deployment.refresh_from_db()
    assert deployment.status == DeploymentStatus.STOPPING
    assert said(response) == ["The deployment is being stopped."]


def test_stop_of_one_that_is_not_live_is_refused_in_words(client: Client) -> None:
    deployment = make_deployment(status=DeploymentStatus.FAILED)

    response = client.post(page_of(deployment, "stop"), CONFIRMED)

    deployment.refresh_from_db()
    assert "illegal_transition" in said(response)[0]
    assert deployment.status == DeploymentStatus.FAILED


def test_cancel_keeps_a_coming_release_from_going_live(client: Client) -> None:
    deployment = make_deployment(status=DeploymentStatus.INSTALLING)

    client.post(page_of(deployment, "cancel"), CONFIRMED)

    deployment.refresh_from_db()
    assert deployment.status == DeploymentStatus.CANCELING


def test_ticked_deployments_are_stopped(client: Client) -> None:
    live = make_deployment(status=DeploymentStatus.LIVE)
    form = {"action": "stop_selected", "_selected_action": [str(live.pk)]}

    client.post(list_of(ServiceDeployment), form)

    live.refresh_from_db()
    assert live.status == DeploymentStatus.STOPPING


def test_what_is_not_measured_of_a_server_is_no_data(client: Client) -> None:
    server = make_deployment(status="live").server

    response = client.get(page_of(server))

    measured = next(one for one in response.context["sections"] if str(one.title) == "Measured")
    values = {str(row[0]): str(row[1]) for row in measured.rows}
    assert values["Processor"] == values["Memory"] == values["Disk"] == "no data"
    assert values["Ports in use"].startswith("0 / ")
