"""What GitHub's deliveries do, and what they cannot do."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.projects.models import Dispatch, MergeRequest, Project
from apps.projects.services import hints
from apps.projects.webhooks import MAX_BODY_BYTES, is_signed
from tests.factories import make_merge_request, make_project, make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]

SECRET = "shared-with-the-host"
SHA = "a" * 40
LATER = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def webhook(settings: Any, broker: Any) -> None:
    settings.GITHUB_WEBHOOK_SECRET = SECRET


@pytest.fixture
def project() -> Project:
    return make_project(forge="github", repository_id="77", status="active")


@pytest.fixture
def change(project: Project) -> MergeRequest:
    return make_merge_request(
        task=make_task(project=project),
        status="proposed",
        head_sha=SHA,
        pull_request=5,
        poll_at=timezone.now() + LATER,
    )


@pytest.fixture
def dispatch(project: Project) -> Dispatch:
    return Dispatch.objects.create(
        idempotency_key="d",
        project=project,
        task=make_task(project=project),
        deployment_id=uuid.uuid4(),
        status="running",
        workflow="main.yml",
        environment="production",
        ref="main",
        sha=SHA,
        run_id=99,
        poll_at=timezone.now() + LATER,
        deadline_at=timezone.now() + LATER,
    )


@pytest.fixture
def deliver(client: Client) -> Callable[..., Any]:
    """Send a delivery as GitHub does, or nearly so."""

    def send(event: str, payload: Any, *, delivery: str = "", secret: str = SECRET, **headers: str) -> Any:
        whole = {"repository": {"id": 77}, **payload} if isinstance(payload, dict) else payload
        body = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        sent = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
            "X-Hub-Signature-256": f"sha256={signature}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return client.post("/webhooks/github", data=body, content_type="application/json", headers=sent)

    return send


def is_hastened(row: MergeRequest | Dispatch) -> bool:
    row.refresh_from_db()
    return row.poll_at is not None and row.poll_at <= timezone.now()


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("pull_request", {"pull_request": {"number": 5, "head": {"sha": "b" * 40}}}),
        ("pull_request", {"pull_request": {"number": 6, "head": {"sha": SHA}}}),
        ("check_run", {"check_run": {"head_sha": SHA}}),
        ("check_suite", {"check_suite": {"head_sha": SHA}}),
        ("workflow_run", {"workflow_run": {"id": 1, "head_sha": SHA}}),
    ],
)
def test_news_of_a_change_bring_its_next_look_forward(event, payload, change, deliver):
    answer = deliver(event, payload)

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert is_hastened(change)


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ("workflow_run", {"workflow_run": {"id": 99}}),
        ("workflow_run", {"workflow_run": {"id": 1, "display_title": "Deploy ({correlation})"}}),
        ("workflow_job", {"workflow_job": {"run_id": 99}}),
        ("deployment_status", {"deployment_status": {"id": 3}, "deployment": {"sha": SHA}}),
    ],
)
def test_news_of_a_run_bring_the_next_look_at_its_dispatch_forward(event, part, dispatch, deliver):
    payload = json.loads(json.dumps(part).replace("{correlation}", str(dispatch.pk)))

    answer = deliver(event, payload)

    assert answer.json() == {"status": "accepted"}
    assert is_hastened(dispatch)


@pytest.mark.parametrize(
    "payload",
    [
        {"repository": {"id": 78}, "check_run": {"head_sha": SHA}},
        {"repository": {"id": "77"}, "check_run": {"head_sha": SHA}},
        {"repository": None, "check_run": {"head_sha": SHA}},
        {"check_run": {"head_sha": "b" * 40}},
        {"check_run": {"head_sha": f"{SHA}\0"}},
        {"check_run": {"head_sha": [SHA]}},
        {"check_run": None},
        {},
    ],
)
def test_news_of_nothing_of_ours_do_nothing(payload, change, deliver):
    answer = deliver("check_run", payload)

    assert (answer.status_code, answer.json()) == (202, {"status": "ignored"})
    assert not is_hastened(change)


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63, 10**30, True, "5", 5.0, None])
def test_number_of_no_pull_request_finds_none(number, change, deliver):
    answer = deliver("pull_request", {"pull_request": {"number": number, "head": {}}})

    assert answer.status_code == 202
    assert not is_hastened(change)


def test_repeated_delivery_is_done_once(change, deliver):
    payload = {"check_run": {"head_sha": SHA}}

    answers = [deliver("check_run", payload, delivery="one").json()["status"] for _ in range(2)]
    under_another_id = deliver("check_run", payload, delivery="two").json()["status"]
    another = deliver("check_run", {**payload, "action": "completed"}, delivery="three").json()["status"]

    assert answers == ["accepted", "duplicate"]
    assert (under_another_id, another) == ("duplicate", "accepted")


def test_delivery_that_came_before_its_row_is_not_remembered(project, deliver):
    payload = {"check_run": {"head_sha": SHA}}
    early = deliver("check_run", payload, delivery="one").json()["status"]
    row = make_merge_request(task=make_task(project=project), status="proposed", head_sha=SHA)

    again = deliver("check_run", payload, delivery="one").json()["status"]

    assert (early, again) == ("ignored", "accepted")
    assert is_hastened(row)


def test_forged_delivery_is_refused(change, deliver):
    answer = deliver("check_run", {"check_run": {"head_sha": SHA}}, secret="of somebody else")

    assert (answer.status_code, answer.json()["error"]) == (401, "bad_signature")
    assert not is_hastened(change)


@pytest.mark.parametrize("header", ["", "sha256=", "sha1=0", "sha256=é", "x" * 5_000])
def test_signature_that_is_none_is_refused(header, change, deliver):
    answer = deliver("check_run", {}, X_Hub_Signature_256=header)

    assert answer.status_code == 401


def test_signature_is_of_the_raw_body():
    body = b'{"a":  1}'
    header = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()

    assert is_signed(body, header, SECRET)
    assert not is_signed(b'{"a": 1}', header, SECRET)
    assert not is_signed(body, header.upper(), SECRET)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_body_that_is_no_object_is_refused(body, deliver):
    assert deliver("check_run", body).status_code == 400


def test_form_is_refused_with_what_to_do(client, settings):
    signature = hmac.new(SECRET.encode(), b"payload=1", hashlib.sha256).hexdigest()

    answer = client.post(
        "/webhooks/github",
        data=b"payload=1",
        content_type="application/x-www-form-urlencoded",
        headers={"X-Hub-Signature-256": f"sha256={signature}"},
    )

    assert answer.status_code == 400
    assert "application/json" in answer.json()["message"]


def test_oversized_delivery_is_refused_unread(deliver):
    assert deliver("check_run", b"x" * (MAX_BODY_BYTES + 1)).status_code == 413


def test_without_a_secret_there_is_no_webhook(deliver, settings):
    settings.GITHUB_WEBHOOK_SECRET = ""

    assert deliver("ping", {}).status_code == 404


def test_webhook_is_posted_to_alone(client):
    assert client.get("/webhooks/github").status_code == 405


def test_missing_server_costs_no_time_and_no_news(change, deliver, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    begun = time.monotonic()

    answer = deliver("check_run", {"check_run": {"head_sha": SHA}})

    assert answer.json() == {"status": "accepted"}
    assert is_hastened(change)
    assert time.monotonic() - begun < 1.5


def test_hint_sends_the_change_to_the_queue(change, project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as sent:
        quiet = hints.hint_change(project_id=project.pk, head_sha=SHA, is_sent=False)
    with django_capture_on_commit_callbacks() as called:
        loud = hints.hint_change(project_id=project.pk, head_sha=SHA)

    assert (quiet, loud) == (1, 1)
    assert (len(sent), len(called)) == (0, 1)


def test_hint_sends_the_dispatch_to_the_queue(dispatch, project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as sent:
        quiet = hints.hint_dispatch(project_id=project.pk, run_id=99, is_sent=False)
    with django_capture_on_commit_callbacks() as called:
        loud = hints.hint_dispatch(project_id=project.pk, run_id=99)

    assert (quiet, loud) == (1, 1)
    assert (len(sent), len(called)) == (0, 1)


@pytest.mark.parametrize("status", ["pending", "merged", "refused", "canceled"])
def test_change_that_is_not_followed_is_left_alone(status, project, deliver):
    row = make_merge_request(task=make_task(project=project), status=status, head_sha=SHA)

    answer = deliver("check_run", {"check_run": {"head_sha": SHA}})

    assert answer.json() == {"status": "ignored"}
    assert not is_hastened(row)
