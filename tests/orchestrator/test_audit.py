"""What people change by the API is written down beside what they change in the admin."""

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from apps.projects.models import Project
from apps.workers.models import DeadLetterStatus
from tests.admin_rows import make_dead_letter, operator, page_of
from tests.factories import make_project, make_task, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def api() -> APIClient:
    """The API as somebody who may do everything uses it."""
    client = APIClient()
    client.force_authenticate(operator())
    return client


def lines() -> list[tuple[int, str, str]]:
    """What was written down: flag, model, words."""
    found = LogEntry.objects.order_by("pk").select_related("content_type")
    return [
        (one.action_flag, str(one.content_type and one.content_type.model), one.change_message)
        for one in found
    ]


def test_what_somebody_makes_and_changes_is_written_down(api: APIClient) -> None:
    words = {"name": "books", "description": "a list of books", "modules": ["backend"]}

    key = {"Idempotency-Key": "audit-1"}
    made = api.post("/api/projects/", words, format="json", headers=key)
    api.post("/api/projects/", words, format="json", headers=key)
    api.patch(f"/api/projects/{made.data['id']}/", {"description": "another"}, format="json")

    address = f"/api/projects/{made.data['id']}/"
    assert lines() == [
        (ADDITION, "project", "API: POST /api/projects/"),
        (CHANGE, "project", f"API: PATCH {address}"),
    ]
    assert {entry.object_id for entry in LogEntry.objects.all()} == {made.data["id"]}


def test_action_on_a_row_is_in_the_rows_own_history(api: APIClient) -> None:
    task = make_task()

    api.post(f"/api/tasks/{task.pk}/cancel/")

    browser = Client()
    browser.force_login(operator())
    assert "API: POST" in browser.get(page_of(task, "history")).content.decode()
    assert "API: POST" in browser.get("/admin/admin/logentry/").content.decode()


def test_reading_and_what_was_refused_leave_no_line(api: APIClient) -> None:
    stranger = APIClient()
    stranger.force_authenticate(make_user())

    api.get("/api/projects/")
    api.post("/api/projects/", {"name": ""}, format="json")
    stranger.patch(f"/api/projects/{make_project().pk}/", {"description": "mine"}, format="json")

    assert lines() == []


@pytest.fixture
def full_log() -> None:
    """A log that takes no line any more."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_admin_log ADD CONSTRAINT full_log CHECK (false) NOT VALID")


@pytest.mark.usefixtures("full_log")
def test_nothing_is_changed_by_the_api_that_cannot_be_written_down(api: APIClient) -> None:
    api.raise_request_exception = False
    words = {"name": "books", "description": "a list of books", "modules": ["backend"]}

    answer = api.post("/api/projects/", words, format="json")

    assert answer.status_code == 500
    assert not Project.objects.exists()


@pytest.mark.usefixtures("full_log")
def test_nothing_is_done_in_the_admin_that_cannot_be_written_down() -> None:
    letter = make_dead_letter()
    browser = Client(raise_request_exception=False)
    browser.force_login(operator())

    answer = browser.post(page_of(letter, "discard"), {"_form_submitted": "True"})

    letter.refresh_from_db()
    assert answer.status_code == 500
    assert letter.status == DeadLetterStatus.PENDING
