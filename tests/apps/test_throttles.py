"""All web processes count together; without the server of the count each goes on for itself."""

import pytest
from rest_framework.test import APIClient

from apps import throttles
from apps.projects.services import issue_token
from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def ask(settings, monkeypatch):
    """Ask the API as somebody who may do so three times a minute."""
    settings.API_REQUESTS_PER_MINUTE_PER_TOKEN = 3
    monkeypatch.setattr(throttles, "_counter", throttles._Counter())
    # One minute, whatever the clock says.
    monkeypatch.setattr(throttles.time, "time", lambda: 1_700_000_010.0)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {issue_token(person_id=make_user().pk, name='n')[1]}")
    return lambda: client.get("/api/projects/").status_code


def test_what_another_process_let_pass_counts(ask, broker):
    before = ask()
    (key,) = (key for key in broker.scan_iter("*Token*") if broker.get(key) == "1")
    broker.incrby(key, 2)  # by another web process

    after = ask()

    assert (before, after) == (200, 429)
    assert 0 < broker.ttl(key) <= 120


def test_every_process_counts_for_itself_while_the_server_is_away(ask, settings, caplog):
    away = {**settings.CACHES["shared"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {**settings.CACHES, "shared": away}

    statuses = [ask() for _ in range(4)]

    assert statuses == [200, 200, 200, 429]
    assert caplog.text.count("counted by each process for itself") == 1, (
        "nobody waits for it at every request"
    )
