"""Alive and ready, for supervisors without credentials."""

import pytest

from tests.factories import make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

CLOSED = "redis://127.0.0.1:1/0"


def test_living_process_says_so(client):
    answer = client.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_everything_answers(client, settings, tmp_path):
    settings.INFRA_ENTRANCE_SOCKET = tmp_path / "nobody.sock"
    answer = client.get("/health/ready")

    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("entrance") == "unavailable", "none runs here, and the API serves all the same"
    assert body == {"status": "ok", "database": "ok", "broker": "ok", "channel": "ok"}


@pytest.mark.parametrize(("setting", "name"), [("REDIS_URL", "broker"), ("CHANNEL_REDIS_URL", "channel")])
def test_what_does_not_answer_is_named(client, settings, setting, name):
    setattr(settings, setting, CLOSED)

    answer = client.get("/health/ready")

    assert answer.status_code == 503
    body = answer.json()
    assert (body["status"], body[name]) == ("unavailable", "unavailable")
    body.pop("entrance")
    assert list(body.values()).count("ok") == 2


def test_broker_that_is_down_does_not_keep_the_process_from_living(client, settings):
    settings.REDIS_URL = CLOSED

    assert client.get("/health/live").status_code == 200


def test_answer_tells_no_address_and_no_password(client, settings):
    settings.REDIS_URL = "redis://default:sesame@127.0.0.1:1/0"
    make_user()

    answer = client.get("/health/ready")

    assert "sesame" not in answer.content.decode()
