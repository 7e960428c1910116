"""The page of a server: what was measured of it, and that nothing measured is not zero."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from apps.infra.models import ServerMetric
from tests.admin_rows import operator, page_of
from tests.factories import make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]

FIGURES = {
    "cpus": 4,
    "load_1m": 1.0,
    "memory_total_mb": 8_000,
    "memory_available_mb": 6_000,
    "disk_total_mb": 100_000,
    "disk_free_mb": 10_000,
}


@pytest.fixture
def client() -> Client:
    """The browser of a person who may do everything."""
    browser = Client()
    browser.force_login(operator())
    return browser


def measured(response: Any) -> dict[str, str]:
    table = next(section for section in response.context["sections"] if str(section.title) == "Measured")
    return {str(row[0]): strip_tags(str(row[1])) for row in table.rows}


def test_what_was_never_measured_is_no_data(client: Client) -> None:
    response = client.get(page_of(make_server()))

    assert {measured(response)[name] for name in ("Processor", "Memory", "Disk")} == {"no data"}
    assert [chart.path for chart in response.context["charts"]] == ["", "", ""]
    assert response.content.decode().count("orch-chart-nothing") == 3


def test_measurements_are_a_line_and_the_last_of_them_a_figure(client: Client) -> None:
    server, other, now = make_server(), make_server(), timezone.now()
    for minutes in (20, 10, 1):
        ServerMetric.objects.create(server=server, measured_at=now - timedelta(minutes=minutes), **FIGURES)
    ServerMetric.objects.create(server=other, measured_at=now, cpus=1)

    response = client.get(page_of(server))

    values = measured(response)
    assert (values["Processor"], values["Memory"]) == ("1.00 / 4", "2000 / 8000 MB")
    assert [chart.words for chart in response.context["charts"]] == ["25 %", "25 %", "90 %"]
    assert response.content.decode().count("orch-chart-line") == 3


def test_part_that_could_not_be_measured_is_no_data_and_the_rest_is_shown(client: Client) -> None:
    server = make_server()
    ServerMetric.objects.create(server=server, **{**FIGURES, "memory_available_mb": None})

    values = measured(client.get(page_of(server)))

    assert (values["Memory"], values["Disk"]) == ("no data", "90000 / 100000 MB")


def test_what_was_measured_long_ago_is_known_no_more(client: Client) -> None:
    server = make_server()
    long_ago = timezone.now() - timedelta(hours=2)
    ServerMetric.objects.create(server=server, measured_at=long_ago, **FIGURES)

    response = client.get(page_of(server))

    assert measured(response)["Memory"] == "no data"
    assert all(chart.path for chart in response.context["charts"])
