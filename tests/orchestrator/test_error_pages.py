"""An error that nobody foresaw shows nobody what was sent, with DEBUG as without."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from tests.canaries.finder import Haystack
from tests.canaries.values import draw_canaries
from tests.factories import make_project, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.mark.parametrize("is_debug", [False, True])
def test_secret_is_on_no_error_page_and_in_no_log(
    is_debug: bool, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = is_debug
    canaries = draw_canaries(bot_token="1234567890:AA" + "b7Q" * 11)
    haystack = Haystack(tmp_path / "haystack", canaries.values())
    project = make_project()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE projects_projectsecret RENAME TO lost_for_a_while")

    statuses = [_give(project, name, one.value, haystack) for name, one in canaries.items()]

    haystack.add("log", caplog.text.encode())
    assert set(statuses) == {500}
    assert "ProgrammingError" in caplog.text, "the log says what broke"
    assert haystack.findings() == set()


def _give(project: Any, name: str, value: str, haystack: Haystack) -> int:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(project.owner)
    answer = client.post(f"/api/projects/{project.pk}/secrets/", {"key": name, "value": value}, format="json")
    haystack.add("page", answer.content)
    return answer.status_code


@pytest.mark.parametrize("is_debug", [False, True])
def test_page_of_a_form_shows_no_field(is_debug: bool, settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = is_debug
    canaries = draw_canaries(bot_token="1234567890:AA" + "b7Q" * 11)
    haystack = Haystack(tmp_path / "haystack", canaries.values())
    make_user()
    browser = Client(raise_request_exception=False)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE projects_user RENAME TO lost_for_a_while")

    for one in canaries.values():
        form = {"username": "somebody", "password": one.value}
        as_json = browser.post("/api/login/", json.dumps(form), content_type="application/json")
        for answer in (browser.post("/admin/login/", form), as_json):
            assert answer.status_code in (429, 500)
            haystack.add("page", answer.content)

    assert haystack.findings() == set()
