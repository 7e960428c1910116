"""The transition: every pair of statuses, and two connections racing."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from apps.graph.models import Question, Run
from apps.infra.models import Server, ServiceDeployment
from apps.lifecycle import IllegalTransition, Lifecycle
from apps.projects.models import MergeRequest, Project, Task, User
from apps.workers.models import DeadLetter, Turn, Verification, Worker

MODELS: list[type[Lifecycle]] = [
    Project,
    Task,
    MergeRequest,
    Worker,
    Turn,
    Verification,
    DeadLetter,
    Server,
    ServiceDeployment,
    Run,
    Question,
]


def lifecycle_models() -> Iterator[type[Lifecycle]]:
    return (model for model in apps.get_models() if issubclass(model, Lifecycle))


@pytest.mark.unit
def test_every_lifecycle_model_is_tested_here() -> None:
    assert set(lifecycle_models()) == set(MODELS)


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
    assert model.final_statuses() or model is Server


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
