"""One order without gaps, each fact once, whoever writes at the same time."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import transaction

from apps.errors import Invalid
from apps.projects import timeline
from apps.projects.models import TaskEvent
from apps.projects.selectors import TaskNotFound, list_events
from apps.projects.signals import task_changed
from tests.factories import make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_lines_are_numbered_from_one_per_task():
    first, second = make_task(), make_task()

    for key in ("a", "b", "c"):
        timeline.record(task_id=first.pk, key=key, kind="agent_progress")
    event = timeline.record(task_id=second.pk, key="a", kind="acknowledged")

    assert [line.seq for line in list_events(task_id=first.pk)] == [1, 2, 3]
    assert event.seq == 1


def test_same_key_is_one_line_and_the_first_words_stand():
    task = make_task()

    first = timeline.record(task_id=task.pk, key="merged", kind="merged", data={"sha": "a"})
    again = timeline.record(task_id=task.pk, key="merged", kind="merged", data={"sha": "b"})

    assert first.pk == again.pk
    assert TaskEvent.objects.get().data == {"sha": "a"}


def test_time_of_the_fact_is_kept():
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    event = timeline.record(task_id=make_task().pk, key="a", kind="merged", occurred_at=moment)

    assert event.occurred_at == moment
    assert event.created_at > moment


@pytest.mark.parametrize(("key", "kind"), [("a", "sung"), ("", "merged"), ("k" * 121, "merged")])
def test_unknown_kind_or_unusable_key_is_refused(key, kind):
    task = make_task()

    with pytest.raises(Invalid):
        timeline.record(task_id=task.pk, key=key, kind=kind)

    assert list_events(task_id=task.pk) == []


def test_unknown_task_is_not_found():
    with pytest.raises(TaskNotFound):
        timeline.record(task_id=uuid4(), key="a", kind="merged")


def test_reader_resumes_after_the_last_line_it_knows():
    task = make_task()
    for number in range(5):
        timeline.record(task_id=task.pk, key=str(number), kind="agent_progress")

    lines = list_events(task_id=task.pk, after_seq=2, limit=2)

    assert [line.seq for line in lines] == [3, 4]


def test_others_are_told_of_a_new_line_only(django_capture_on_commit_callbacks):
    task, told = make_task(), []

    def note(task_id, **_):
        told.append(task_id)

    task_changed.connect(note)
    with django_capture_on_commit_callbacks(execute=True):
        timeline.record(task_id=task.pk, key="a", kind="merged")
        timeline.record(task_id=task.pk, key="a", kind="merged")
    task_changed.disconnect(note)

    assert told == [task.pk]


@pytest.mark.django_db(transaction=True)
def test_simultaneous_writers_leave_no_gap(run_together):
    task = make_task()

    answers = run_together(
        lambda: [
            timeline.record(task_id=task.pk, key=str(uuid4()), kind="agent_progress") for _ in range(10)
        ],
        4,
    )

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert [line.seq for line in list_events(task_id=task.pk)] == list(range(1, 41))


@pytest.mark.django_db(transaction=True)
def test_simultaneous_writers_of_one_fact_write_it_once(run_together):
    task = make_task()

    answers = run_together(lambda: timeline.record(task_id=task.pk, key="merged", kind="merged").pk, 6)

    assert len(set(answers)) == 1
    assert TaskEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_rolled_back_line_leaves_no_gap():
    task = make_task()

    with transaction.atomic():
        timeline.record(task_id=task.pk, key="a", kind="merged")
        transaction.set_rollback(True)
    event = timeline.record(task_id=task.pk, key="b", kind="merged")

    assert event.seq == 1
