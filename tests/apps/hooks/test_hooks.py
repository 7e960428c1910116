"""Webhooks: who is told what, how often, and when we stop."""

import hashlib
import hmac
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.errors import Invalid
from apps.hooks import collecting, delivering, services, tasks
from apps.hooks.events import MAX_ATTEMPTS, HookEvent, sign
from apps.hooks.models import HookAttempt, HookCursor, HookDelivery, HookDeliveryStatus, Webhook
from apps.hooks.outbound import Answer
from apps.projects import timeline
from apps.projects.models import TaskEvent, TaskEventKind
from apps.roles import Role
from orchestrator.outbound import OutboundRules
from tests.factories import make_project, make_task, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

URL = "https://hooks.example/in"
EVERYTHING = [event.value for event in HookEvent if event != HookEvent.PING]
TAKEN = Answer(status=204, seconds=0.1)
SILENT = Answer(status=None, seconds=10.0, error="TimeoutError: timed out")


@pytest.fixture(autouse=True)
def _cursor():
    HookCursor.objects.create(pk=1, position=0)


class Receiver:
    """Hears what is sent; its answers are given in turn, the last one stays."""

    def __init__(self):
        self.heard, self.answers = [], [TAKEN]

    def __call__(self, url, *, body, headers, judge):
        self.heard.append((url, body, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Dying:
    """The process dies while it asks."""

    def __call__(self, url, **_):
        raise SystemExit(url)


@pytest.fixture
def sent():
    return Receiver()


def make_webhook(owner, **fields):
    return services.create_webhook(**{"owner_id": owner.pk, "url": URL, "events": EVERYTHING, **fields})[0]


def tell(owner, kind=TaskEventKind.SUCCEEDED, **data):
    task = make_task(project=make_project(owner=owner))
    return timeline.record(task_id=task.pk, key=f"k-{kind}", kind=kind, data=data)


def due_now():
    HookDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_owner_is_told_once_what_happened_to_the_own_projects():
    owner = make_user()
    webhook = make_webhook(owner)
    line = tell(owner, url="https://x")
    tell(make_user())

    collecting.collect()
    collecting.collect()

    (delivery,) = webhook.deliveries.all()
    body = json.loads(delivery.body)
    assert (delivery.event, delivery.event_id) == ("task.completed", f"evt-{line.pk}")
    assert (body["id"], body["data"]["details"]) == (delivery.event_id, {"url": "https://x"})
    assert body["data"]["task_id"] == str(line.task_id)


def test_only_what_was_asked_for_is_told():
    owner = make_user()
    webhook = make_webhook(owner, events=["task.failed"])
    for kind in (TaskEventKind.SUCCEEDED, TaskEventKind.CRASHED, TaskEventKind.AGENT_PROGRESS):
        tell(owner, kind)

    collecting.collect()

    assert [delivery.event for delivery in webhook.deliveries.all()] == ["task.failed"]


def test_what_happened_before_is_not_told():
    owner = make_user()
    tell(owner)
    webhook = make_webhook(owner)

    collecting.collect()

    assert not webhook.deliveries.exists()


def test_line_that_was_committed_late_is_told_too():
    """Numbers are given before the commit: a smaller one may appear after a greater one was read."""
    owner = make_user()
    webhook = make_webhook(owner)
    late = tell(owner)
    TaskEvent.objects.filter(pk=late.pk).delete()
    tell(owner)
    collecting.collect()
    late.save(force_insert=True)

    collecting.collect()

    assert webhook.deliveries.count() == 2


def test_lines_that_have_settled_are_not_read_again():
    owner = make_user()
    make_webhook(owner)
    line = tell(owner)
    TaskEvent.objects.filter(pk=line.pk).update(created_at=timezone.now() - timedelta(minutes=2))

    looked_at = [collecting.collect(), collecting.collect()]

    assert looked_at == [1, 0]


def test_operator_may_be_told_about_everybody_as_long_as_they_are_one():
    operator = make_user(role=Role.OPERATOR)
    webhook = make_webhook(operator, all_projects=True)
    tell(make_user())
    collecting.collect()
    operator.role = Role.MEMBER
    operator.save()
    tell(make_user())

    collecting.collect()

    assert webhook.deliveries.count() == 1


def test_signature_covers_time_and_body(sent):
    owner = make_user()
    webhook, secret = services.create_webhook(owner_id=owner.pk, url=URL, events=EVERYTHING)
    tell(owner)
    collecting.collect()

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    ((url, body, headers),) = sent.heard
    signed = headers["X-Orchestrator-Timestamp"].encode() + b"." + body
    wanted = "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert (url, headers["X-Orchestrator-Signature"]) == (URL, wanted)
    assert headers["X-Orchestrator-Delivery"] == json.loads(body)["id"]
    assert webhook.deliveries.get().status == HookDeliveryStatus.SENT


def test_failed_try_is_repeated_later_and_every_try_is_written_down(sent):
    owner = make_user()
    webhook = make_webhook(owner)
    tell(owner)
    collecting.collect()
    sent.answers = [SILENT, Answer(status=500, seconds=0.2), TAKEN]

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)
    at_once = delivering.deliver_round(webhook_id=webhook.pk, send=sent)
    for _ in range(2):
        due_now()
        delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    delivery = webhook.deliveries.get()
    tries = list(delivery.tries.order_by("number").values_list("number", "answer", "error"))
    assert not at_once
    assert tries == [(1, None, SILENT.error), (2, 500, ""), (3, 204, "")]
    assert delivery.status == HookDeliveryStatus.SENT
    assert len({body for _, body, _ in sent.heard}) == 1


def test_try_whose_process_died_counts_and_is_made_again(sent):
    owner = make_user()
    webhook = make_webhook(owner)
    tell(owner)
    collecting.collect()
    with pytest.raises(SystemExit):
        delivering.deliver_round(webhook_id=webhook.pk, send=Dying())
    due_now()

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    assert webhook.deliveries.get().status == HookDeliveryStatus.SENT
    assert list(HookAttempt.objects.order_by("number").values_list("number", "answer")) == [
        (1, None),
        (2, 204),
    ]


def test_deliveries_are_given_up_and_then_the_webhook_is_switched_off_with_a_notice(sent):
    owner = make_user()
    webhook = make_webhook(owner)
    sent.answers = [SILENT]
    for _ in range(delivering.MAX_FAILURES + 1):
        tell(owner)
    collecting.collect()
    spared = webhook.deliveries.last()
    webhook.deliveries.exclude(pk=spared.pk).update(attempts=MAX_ATTEMPTS - 1)

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    webhook.refresh_from_db()
    spared.refresh_from_db()
    assert not webhook.is_active
    assert "TimeoutError" in webhook.notice
    assert webhook.deliveries.filter(status=HookDeliveryStatus.FAILED).count() == delivering.MAX_FAILURES
    assert spared.status == HookDeliveryStatus.DROPPED


def test_receiver_that_is_gone_is_believed(sent):
    webhook = make_webhook(make_user())
    services.ping(webhook_id=webhook.pk)
    sent.answers = [Answer(status=410, seconds=0.1)]

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    webhook.refresh_from_db()
    assert (webhook.is_active, "410" in webhook.notice) == (False, True)


def test_success_ends_the_row_of_failures(sent):
    webhook = make_webhook(make_user())
    Webhook.objects.update(failures_in_a_row=delivering.MAX_FAILURES - 1)
    services.ping(webhook_id=webhook.pk)

    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    webhook.refresh_from_db()
    assert webhook.failures_in_a_row == 0


def test_what_ended_long_ago_is_forgotten():
    webhook = make_webhook(make_user())
    kept, old = services.ping(webhook_id=webhook.pk), services.ping(webhook_id=webhook.pk)
    HookDelivery.transition(old.pk, to=HookDeliveryStatus.SENT)
    HookDelivery.objects.update(created_at=timezone.now() - collecting.KEPT - timedelta(hours=1))

    collecting.forget_old()

    assert list(HookDelivery.objects.all()) == [kept]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a.example/",
        "https://",
        "https://a.example:99999/",
        "https://user:pass@a.example/",
        "https://a.example/#x",
        "https://a.example/ x",
        "https://a.example/" + "x" * 500,
        "https://пример.example/",
        "https://[::1",
    ],
)
def test_address_that_is_none_is_refused(url):
    with pytest.raises(Invalid):
        make_webhook(make_user(), url=url)


def as_person(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_secret_is_shown_once_and_never_again():
    owner = make_user()
    client = as_person(owner)
    body = {"url": URL, "events": ["task.failed"]}

    made = client.post("/api/webhooks/", body, format="json")

    secret = made.json()["secret"]
    pages = [client.get("/api/webhooks/"), client.get(f"/api/webhooks/{made.json()['id']}/")]
    assert secret
    assert all(secret not in page.content.decode() for page in pages)


def test_only_those_who_run_the_installation_are_told_about_everybody():
    body = {"url": URL, "events": ["task.failed"], "all_projects": True}

    answers = [
        as_person(make_user(role=role)).post("/api/webhooks/", body, format="json").status_code
        for role in (Role.MEMBER, Role.OPERATOR)
    ]

    assert answers == [403, 201]


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "localhost", "[::1]", "169.254.169.254"])
def test_address_that_is_not_public_is_refused_at_once(host):
    client = as_person(make_user())
    body = {"url": f"https://{host}/in", "events": ["task.failed"]}

    made = client.post("/api/webhooks/", body, format="json")

    assert made.status_code == 400
    assert "WEBHOOKS_ALLOW" in made.json()["details"]["url"]
    assert Webhook.objects.filter(url=body["url"]).count() == 0


def test_address_is_judged_when_it_is_changed(settings):
    owner = make_user()
    webhook = make_webhook(owner)
    address, body = f"/api/webhooks/{webhook.pk}/", {"url": "https://10.1.0.1/in"}

    refused = as_person(owner).patch(address, body, format="json")
    settings.WEBHOOKS_JUDGE = OutboundRules(["10.1.0.0/16"])
    allowed = as_person(owner).patch(address, body, format="json")

    assert (refused.status_code, allowed.status_code) == (400, 200)


def test_unknown_event_is_answered_with_those_there_are():
    body = {"url": URL, "events": ["task.done"]}

    refused = as_person(make_user()).post("/api/webhooks/", body, format="json")

    words = str(refused.json()["details"]["events"])
    assert refused.status_code == 400
    assert all(event in words for event in ("task.completed", "task.question_asked"))


def test_switching_off_drops_and_switching_on_forgets_why():
    owner = make_user()
    webhook = make_webhook(owner)
    owed = services.ping(webhook_id=webhook.pk)
    address = f"/api/webhooks/{webhook.pk}/"

    off = as_person(owner).patch(address, {"is_active": False}, format="json")
    ping = as_person(owner).post(f"{address}ping/")
    Webhook.objects.update(notice="why", failures_in_a_row=5)
    on = as_person(owner).patch(address, {"is_active": True}, format="json").json()

    owed.refresh_from_db()
    assert (off.json()["is_active"], owed.status) == (False, HookDeliveryStatus.DROPPED)
    assert (ping.status_code, ping.json()["error"]) == (409, "webhook_off")
    assert (on["is_active"], on["notice"], on["failures_in_a_row"]) == (True, "", 0)


def test_tries_are_seen_by_the_owner(sent):
    owner = make_user()
    webhook = make_webhook(owner)
    services.ping(webhook_id=webhook.pk)
    delivering.deliver_round(webhook_id=webhook.pk, send=sent)

    (shown,) = as_person(owner).get(f"/api/webhooks/{webhook.pk}/deliveries/").json()["results"]

    assert (shown["status"], shown["tries"][0]["answer"]) == ("sent", 204)


def test_third_party_is_not_flooded_by_trials():
    owner = make_user()
    address = f"/api/webhooks/{make_webhook(owner).pk}/ping/"

    answers = [as_person(owner).post(address).status_code for _ in range(6)]

    assert answers == [202] * 5 + [409]


def test_missing_webhook_is_missing():
    with pytest.raises(services.WebhookNotFound):
        services.ping(webhook_id=uuid4())
    with pytest.raises(services.WebhookNotFound):
        services.update_webhook(webhook_id=uuid4(), is_active=True)


def test_news_reach_the_receiver_by_the_tasks_of_the_queue(receiver, settings):
    settings.WEBHOOKS_JUDGE = OutboundRules(["127.0.0.1"])
    owner = make_user()
    url = f"http://127.0.0.1:{receiver.server_address[1]}/in"
    webhook, secret = services.create_webhook(owner_id=owner.pk, url=url, events=["task.failed"])
    line = tell(owner, TaskEventKind.FAILED)

    tasks.collect()
    for _ in range(2):
        tasks.deliver(webhook_id=str(webhook.pk))

    ((path, headers, body),) = receiver.heard
    timestamp = int(headers["X-Orchestrator-Timestamp"])
    assert (path, headers["X-Orchestrator-Event"]) == ("/in", "task.failed")
    assert headers["X-Orchestrator-Delivery"] == f"evt-{line.pk}"
    assert headers["X-Orchestrator-Signature"] == sign(secret, timestamp=timestamp, body=body.decode())


def test_address_of_this_machine_is_refused_and_the_owner_sees_why(receiver):
    owner = make_user()
    url = f"http://127.0.0.1:{receiver.server_address[1]}/in"
    webhook = make_webhook(owner, url=url)
    services.ping(webhook_id=webhook.pk)

    tasks.deliver(webhook_id=str(webhook.pk))

    (shown,) = as_person(owner).get(f"/api/webhooks/{webhook.pk}/deliveries/").json()["results"]
    assert "an address of this machine" in shown["tries"][0]["error"]
    assert not receiver.heard
