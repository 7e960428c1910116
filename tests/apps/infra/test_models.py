"""What the database itself refuses about servers, attempts and incidents."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.infra.models import Incident, Provisioning, Server
from tests.factories import make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def attempt(server: Server, **fields: Any) -> Provisioning:
    return Provisioning.objects.create(server=server, idempotency_key=uuid4().hex, **fields)


def incident(**fields: Any) -> Incident:
    return Incident.objects.create(**{"key": "provider_away:time4vps", "kind": "provider_away", **fields})


def test_an_unknown_server_is_discovered_and_nothing_else() -> None:
    server = Server.objects.create(
        name="found", kind="ssh", host="203.0.113.5", port_range_start=8_000, port_range_end=8_100
    )

    assert (server.status, server.provisionings.count()) == ("discovered", 0)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda server: attempt(server),
        lambda server: attempt(server, status="succeeded", force_reinstall=True),
        lambda _: make_server(provider="time4vps", provider_id="77"),
        lambda _: incident(),
        lambda _: incident(key=""),
        lambda _: incident(key="other", status="unknown"),
    ],
    ids=[
        "a second unfinished attempt",
        "a reinstallation that nobody authorized",
        "a provider's number twice",
        "an open incident twice, without a server",
        "an incident without a key",
        "a status that nobody knows",
    ],
)
def test_what_must_not_be_is_refused(forbidden: Callable[[Server], object]) -> None:
    server = make_server(provider="time4vps", provider_id="77")
    attempt(server)
    incident()

    with pytest.raises(IntegrityError), transaction.atomic():
        forbidden(server)


def test_what_is_over_may_happen_again() -> None:
    server = make_server()
    first = attempt(server)
    Provisioning.transition(first.pk, to="superseded")
    Incident.transition(incident().pk, to="resolved")

    again = (attempt(server, episode=first.episode, attempt=2), incident())

    assert [row.status for row in again] == ["pending", "open"]
