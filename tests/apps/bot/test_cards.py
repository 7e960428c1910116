"""One message per task, edited while something happens, and a short one at the end."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.bot import cards
from apps.bot.models import Callback, Delivery, DeliveryKind, LiveCard
from apps.failures import Failure, FailureKind
from apps.infra.models import DeploymentStatus
from apps.projects import services as projects
from apps.projects import timeline
from apps.projects.models import Task, TaskEventKind, TaskStatus, TaskType, User
from tests.apps.bot.updates import Phone, somebody
from tests.factories import make_deployment, make_project, make_run, make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]

FAILURE = Failure(
    stage="checks", kind=FailureKind.PRODUCT, code="checks_failed", message="3 of <12> failed", retryable=True
)


def make_running(user: User, **fields: Any) -> Task:
    project = fields.pop("project", None) or make_project(owner=user, status="active", name="Books & Co")
    task = make_task(project=project, status=TaskStatus.RUNNING, **fields)
    make_run(task=task)
    timeline.record(task_id=task.pk, key="begin", kind=TaskEventKind.ACKNOWLEDGED)
    return task


def finish(task: Task, status: str, failure: Failure | None = None) -> None:
    projects.finish_task(task_id=task.pk, status=status, failure=failure)
    data = {} if failure is None else {"code": failure.code, "message": failure.message}
    timeline.record(task_id=task.pk, key="end", kind=status, data=data)


def shown(phone: Phone) -> Delivery:
    return Delivery.objects.get(chat=phone.chat, kind=DeliveryKind.CARD)


def ends(phone: Phone) -> list[str]:
    rows = Delivery.objects.filter(
        chat=phone.chat, kind=DeliveryKind.TEXT, idempotency_key__startswith="end:"
    )
    return [row.payload["text"] for row in rows]


def test_card_is_one_message_that_is_edited():
    phone, user = somebody()
    task = make_running(user)

    cards.draw(task_id=task.pk)
    timeline.record(task_id=task.pk, key="scaffolded", kind=TaskEventKind.SCAFFOLDED)
    cards.draw(task_id=task.pk)

    assert shown(phone).wanted_revision == 2
    assert "Books &amp; Co" in shown(phone).payload["text"]
    assert "✓ Repository created" in shown(phone).payload["text"]
    assert "Stop" in phone.buttons()


def test_task_that_nobody_has_begun_is_not_shown():
    phone, user = somebody()
    task = make_task(project=make_project(owner=user))

    cards.draw(task_id=task.pk)

    assert not Delivery.objects.exists()
    assert phone.texts() == []


def test_end_is_told_once_in_a_message_of_its_own_with_the_reason():
    phone, user = somebody()
    task = make_running(user)
    finish(task, TaskStatus.FAILED, FAILURE)

    cards.draw(task_id=task.pk)
    cards.draw(task_id=task.pk)

    assert len(ends(phone)) == 1
    assert "3 of &lt;12&gt; failed (checks_failed)" in ends(phone)[0]
    assert "did not pass" in ends(phone)[0]
    assert shown(phone).payload["buttons"] == []
    assert LiveCard.objects.get().finished_at is not None


def test_deployment_that_follows_is_the_end_of_the_same_card():
    phone, user = somebody()
    task = make_running(user, deploy_after=True)
    finish(task, TaskStatus.SUCCEEDED)
    follower = make_running(user, project=task.project, type=TaskType.DEPLOY, spec="", follows=task)
    cards.draw(task_id=task.pk)
    unfinished = ends(phone)
    url = "http://127.0.0.1:21000/"
    timeline.record(task_id=follower.pk, key="up", kind=TaskEventKind.DEPLOYED, data={"url": url})
    finish(follower, TaskStatus.SUCCEEDED)

    cards.draw(task_id=follower.pk)

    assert unfinished == []
    assert url in ends(phone)[0]
    assert LiveCard.objects.get().task_id == task.pk


def test_stop_acts_once_however_often_it_is_tapped():
    phone, user = somebody()
    task = make_running(user)
    cards.draw(task_id=task.pk)
    data = phone.button("Stop")

    first = phone.does(phone.tap(data))[-1]
    second = phone.does(phone.tap(data))[-1]

    assert task.reload().status == TaskStatus.CANCELING
    assert first.payload["text"] == "Stopping."
    assert "used already" in second.payload["text"]


def test_expired_button_does_nothing():
    phone, user = somebody()
    task = make_running(user)
    cards.draw(task_id=task.pk)
    Callback.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    answer = phone.taps("Stop")[-1]

    assert task.reload().status == TaskStatus.RUNNING
    assert "expired" in answer.payload["text"]


def test_button_works_no_more_for_whom_the_role_was_taken():
    phone, user = somebody()
    task = make_running(user)
    cards.draw(task_id=task.pk)
    User.objects.filter(pk=user.pk).update(role="viewer")

    answer = phone.taps("Stop")[-1]

    assert task.reload().status == TaskStatus.RUNNING
    assert "not allowed" in answer.payload["text"]


def test_failed_task_is_tried_again_by_a_tap():
    phone, user = somebody()
    task = make_running(user)
    finish(task, TaskStatus.FAILED, FAILURE)
    cards.draw(task_id=task.pk)

    phone.taps("Try again")

    assert Task.objects.get(retry_of=task).status == TaskStatus.RUNNING


def test_release_is_rolled_back_by_a_tap():
    phone, user = somebody()
    project = make_project(owner=user, status="active", name="Shop")
    now = timezone.now()
    of_project = {"project_id": project.pk, "task_id": uuid4()}
    before = now - timedelta(hours=1)
    old = make_deployment(**of_project, status=DeploymentStatus.STOPPED, live_at=before)
    of_project["task_id"] = uuid4()
    make_deployment(**of_project, status=DeploymentStatus.LIVE, live_at=now)
    phone.writes("/project shop")

    phone.taps("Roll back")

    assert Task.objects.get(project=project).rollback_to == old.pk


def test_card_is_drawn_in_the_language_of_its_chat():
    phone, user = somebody()
    phone.writes("/language ru")
    task = make_running(user)

    cards.draw(task_id=task.pk)

    assert "Принято" in shown(phone).payload["text"]


def test_person_who_only_looks_is_shown_no_buttons():
    phone, user = somebody()
    task = make_running(user)
    User.objects.filter(pk=user.pk).update(role="viewer")

    cards.draw(task_id=task.pk)

    assert shown(phone).payload["buttons"] == []


def test_card_of_a_long_story_fits_into_one_message():
    phone, user = somebody()
    task = make_running(user)
    for number in range(60):
        data = {"message": "😀<&" * 200, "number": number}
        timeline.record(task_id=task.pk, key=f"rework:{number}", kind=TaskEventKind.REWORK, data=data)

    cards.draw(task_id=task.pk)

    assert len(shown(phone).payload["text"].encode("utf-16-le")) // 2 <= 4_096
    assert "earlier lines" in shown(phone).payload["text"]


def test_sweep_finds_unshown_and_silent_tasks_and_no_others():
    _phone, user = somebody()
    silent, fresh = make_running(user), make_running(user)
    unshown = make_running(user)
    make_running(make_project().owner)
    for task in (silent, fresh):
        cards.draw(task_id=task.pk)
    LiveCard.objects.filter(task=silent).update(drawn_at=timezone.now() - cards.REDRAW_AFTER)

    assert set(cards.find_due()) == {silent.pk, unshown.pk}


def test_task_that_ends_while_its_card_is_read_is_told_by_the_next_card(monkeypatch):
    phone, user = somebody()
    task = make_running(user)
    read = cards.graph.get_card

    def read_just_before_the_end(**which: Any) -> Any:
        card = read(**which)
        if not Task.objects.get(pk=task.pk).finished_at:
            finish(task, TaskStatus.SUCCEEDED)
        return card

    monkeypatch.setattr(cards.graph, "get_card", read_just_before_the_end)
    cards.draw(task_id=task.pk)

    assert ends(phone) == []
    cards.draw(task_id=task.pk)
    (text,) = ends(phone)
    assert "Done" in text
