"""Incidents are told once."""

from typing import Any

import pytest

from apps.errors import NotFound
from apps.infra import incidents, signals
from apps.infra.models import Incident
from tests.factories import make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def announced():
    heard: list[int] = []

    def hear(incident_id: int, **_: Any) -> None:
        heard.append(incident_id)

    signals.incident_changed.connect(hear)
    yield heard
    signals.incident_changed.disconnect(hear)


def full_disk(**changes: Any) -> bool:
    return incidents.report(
        **{"kind": "disk_full", "subject": "server:7", "message": "91 % in use", **changes}
    )


def test_what_is_still_wrong_is_counted_and_told_once(announced, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        news = [full_disk(), full_disk(message="92 % in use"), full_disk(message="93 % in use")]

    incident = Incident.objects.get()
    assert news == [True, False, False]
    assert (incident.count, incident.message, incident.key) == (3, "93 % in use", "disk_full:server:7")
    assert announced == [incident.pk]


def test_what_comes_back_after_its_end_is_a_new_one(announced, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        full_disk()
        ended = [incidents.resolve(kind="disk_full", subject="server:7") for _ in range(2)]
        is_new = full_disk()

    assert (ended, is_new) == ([True, False], True)
    assert sorted(Incident.objects.values_list("status", flat=True)) == ["open", "resolved"]
    assert len(announced) == 3


def test_what_is_wrong_with_another_is_another_one():
    full_disk()
    full_disk(subject="server:8")
    incidents.report(kind="provider_away", subject="time4vps", message="away")
    incidents.report(kind="provider_away", subject="time4vps", message="away")

    assert Incident.objects.count() == 3


def test_open_one_only_grows_worse():
    full_disk(severity="critical")
    full_disk(severity="warning")

    assert Incident.objects.get().severity == "critical"


def test_person_closes_one_and_is_remembered():
    server = make_server()
    full_disk(server_id=server.pk)
    incident = Incident.objects.get()

    incidents.resolve_by_person(incident_id=incident.pk, person_id=5)
    incidents.resolve_by_person(incident_id=incident.pk, person_id=6)

    incident.refresh_from_db()
    assert (incident.status, incident.resolved_by_id, incident.resolved_at is None) == ("resolved", 5, False)
    with pytest.raises(NotFound):
        incidents.resolve_by_person(incident_id=incident.pk + 1, person_id=5)


def test_long_words_are_cut():
    full_disk(message="x" * 5_000)

    assert len(Incident.objects.get().message) == 500
