"""The transition: every pair of statuses, and two connections racing."""

import threading
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.bot.models import Chat, Delivery
from apps.errors import NotFound
from apps.infra.models import Server
from apps.lifecycle import IllegalTransition, Lifecycle
from apps.projects.models import HostedRepository, Project, Task, User
from apps.workers.models import WorkerImage

#: Every one there is, so that a new one is tested without a word here.
MODELS: list[type[Lifecycle]] = [model for model in apps.get_models() if issubclass(model, Lifecycle)]
#: They are kept in use, whatever becomes of them: a card is edited, a failed delivery sent again.
ENDLESS = (Chat, Delivery, HostedRepository, Server, WorkerImage)


@pytest.mark.unit
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_table_names_exactly_the_statuses_of_the_column(model: type[Lifecycle]) -> None:
    choices = {value for value, _ in model._meta.get_field("status").flatchoices}

    targets = {target for reachable in model.TRANSITIONS.values() for target in reachable}

    assert set(model.TRANSITIONS) == choices
    assert targets <= choices


@pytest.mark.unit
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_status_is_reachable_and_final_or_has_a_way_out(model: type[Lifecycle]) -> None:
    start = model._meta.get_field("status").get_default()
    seen, frontier = {str(start)}, [str(start)]

    while frontier:
        for target in model.TRANSITIONS[frontier.pop()] - seen:
            seen.add(target)
            frontier.append(target)

    assert seen == set(model.TRANSITIONS)
    assert model.final_statuses() or model in ENDLESS


def make_user(**fields: Any) -> User:
    return User.objects.create_user(username=f"user-{uuid4()}", **fields)


def make_task(status: str) -> Task:
    project = Project.objects.create(
        owner=make_user(), name="Books", slug=f"books-{uuid4()}"[:40], modules=["backend"]
    )
    return Task.objects.create(project=project, type="engineering", status=status)


statuses = st.sampled_from(sorted(Task.TRANSITIONS))


@pytest.mark.service
@pytest.mark.django_db
@given(source=statuses, target=statuses)
def test_a_pair_moves_exactly_when_the_table_lists_it(source: str, target: str) -> None:
    task = make_task(source)

    if target in Task.TRANSITIONS[source]:
        Task.transition(task.pk, to=target)
        assert task.reload().status == target
    else:
        with pytest.raises(IllegalTransition):
            Task.transition(task.pk, to=target)
        assert task.reload().status == source


@pytest.mark.service
@pytest.mark.django_db
def test_expect_narrows_the_sources() -> None:
    task = make_task("running")

    with pytest.raises(IllegalTransition) as caught:
        Task.transition(task.pk, to="canceling", expect="pending")

    assert caught.value.details == {"status": "running", "to": "canceling"}
    assert task.reload().status == "running"


@pytest.mark.service
@pytest.mark.django_db
@given(
    sources=st.lists(statuses, min_size=1, max_size=6),
    target=statuses,
    expect=st.none() | statuses | st.lists(statuses, max_size=3),
)
def test_many_move_exactly_as_each_would_alone(sources: list[str], target: str, expect: Any) -> None:
    project = make_task("failed").project
    together, alone = (
        Task.objects.bulk_create(Task(project=project, type="deploy", status=source) for source in sources)
        for _ in range(2)
    )
    changes = {task.pk: {"result": {"number": number}} for number, task in enumerate(together)}

    moved = Task.try_transition_many(changes, to=target, expect=expect)

    for number, (task, twin) in enumerate(zip(together, alone, strict=True)):
        is_moved = Task.try_transition(twin.pk, to=target, expect=expect, result={"number": number})
        assert (task.pk in moved) == is_moved
        task.refresh_from_db()
        twin.refresh_from_db()
        assert (task.status, task.result) == (twin.status, twin.result)
        assert (task.status_changed_at > task.created_at) == (twin.status_changed_at > twin.created_at)


@pytest.mark.service
@pytest.mark.django_db
def test_each_of_many_moves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    moving, resting = make_task("pending"), make_task("succeeded")

    with caplog.at_level("INFO", logger="apps.lifecycle"):
        Task.try_transition_many({moving.pk: {}, resting.pk: {}}, to="running")

    assert caplog.messages == [f"Task {moving.pk} became running"]


@pytest.mark.service
@pytest.mark.django_db
def test_a_missing_row_among_many_is_an_error() -> None:
    task, nobody = make_task("pending"), uuid4()

    with pytest.raises(NotFound) as caught:
        Task.try_transition_many({task.pk: {}, nobody: {}}, to="running")

    assert str(nobody) in str(caught.value)
    assert str(task.pk) not in str(caught.value)


@pytest.mark.service
@pytest.mark.django_db(transaction=True)
def test_of_racing_connections_each_row_of_many_has_one_winner() -> None:
    for _ in range(10):
        ids = [make_task("pending").pk for _ in range(8)]
        barrier = threading.Barrier(2)
        wins: list[set[UUID]] = []

        def race(
            order: list[UUID], barrier: threading.Barrier = barrier, wins: list[set[UUID]] = wins
        ) -> None:
            try:
                connection.ensure_connection()
                barrier.wait(timeout=10)
                wins.append(Task.try_transition_many({pk: {} for pk in order}, to="running"))
            finally:
                connection.close()

        threads = [threading.Thread(target=race, args=(order,)) for order in (ids, ids[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)

        assert len(wins) == 2
        assert wins[0] | wins[1] == set(ids)
        assert wins[0] & wins[1] == set()


@pytest.mark.service
@pytest.mark.django_db(transaction=True)
def test_a_batch_that_waited_for_a_row_sees_what_became_of_it() -> None:
    taken, free = make_task("pending").pk, make_task("pending").pk
    waiting = threading.Event()
    moved: list[set[UUID]] = []

    def move_both() -> None:
        try:
            connection.ensure_connection()
            waiting.set()
            moved.append(Task.try_transition_many({taken: {}, free: {}}, to="running"))
        finally:
            connection.close()

    other = threading.Thread(target=move_both)
    with transaction.atomic():
        Task.transition(taken, to="canceled")
        other.start()
        waiting.wait(timeout=10)
        time.sleep(0.2)
    other.join(timeout=20)

    assert moved == [{free}]
    assert Task.objects.get(pk=taken).status == "canceled"


@pytest.mark.service
@pytest.mark.django_db(transaction=True)
def test_of_racing_connections_exactly_one_wins_each_round() -> None:
    for _ in range(20):
        task, barrier, wins = make_task("pending"), threading.Barrier(2), []

        def race(
            task_id: Any = task.pk, barrier: threading.Barrier = barrier, wins: list[bool] = wins
        ) -> None:
            try:
                connection.ensure_connection()
                barrier.wait(timeout=10)
                wins.append(Task.try_transition(task_id, to="running"))
            finally:
                connection.close()

        threads = [threading.Thread(target=race) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)

        assert sorted(wins) == [False, True]
