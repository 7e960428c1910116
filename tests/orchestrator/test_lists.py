"""Lists stay what they are while the system grows: the same queries, and fast.

``make bench`` runs it with LISTS_PROJECTS=10000 and LISTS_EVENTS=100000.
"""

import json
import os
import statistics
import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from apps.documents.models import Document
from apps.graph.models import Question, Run
from apps.hooks.models import HookDelivery, Webhook
from apps.infra.models import (
    Incident,
    PortAllocation,
    Provisioning,
    Server,
    ServerMetric,
    ServiceDeployment,
)
from apps.projects.models import Invitation, MergeRequest, PersonalToken, Project, Task, TaskEvent, User
from apps.roles import Role
from apps.workers.models import AgentConfig, DeadLetter, Turn, Verification, Worker
from tests.bulk_rows import multiply
from tests.factories import make_user
from tests.orchestrator.test_routes import every_route, make_world

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PROJECTS = int(os.environ.get("LISTS_PROJECTS", "1000"))
EVENTS = int(os.environ.get("LISTS_EVENTS", "1000"))
MODELS: list[Any] = [
    *(
        AgentConfig,
        DeadLetter,
        Document,
        HookDelivery,
        Incident,
        Invitation,
        MergeRequest,
        PersonalToken,
        PortAllocation,
        Project,
        Provisioning,
        ServerMetric,
    ),
    *(Question, Run, Server, ServiceDeployment, Task, TaskEvent, Turn, User, Verification, Webhook, Worker),
]
NOT_LISTS = {"api-root", "schema", "docs", "task-event-stream", "task-action-card", "worker-logs"}


def lists(world: Any) -> dict[str, str]:
    """The path of every list of the API."""
    found = {}
    for route in every_route():
        is_own = route.path.startswith(("/api/worker/", "/admin")) or not route.path.startswith("/api/")
        if route.method == "get" and not is_own and not route.name.endswith("-detail"):
            found[route.name] = world.path(route)
    return {name: path for name, path in found.items() if name not in NOT_LISTS}


@pytest.fixture
def world():
    return make_world(make_user(role=Role.OWNER))


@pytest.fixture
def client(world):
    return client_of(world.owner)


def grow(count: int, *, but: tuple[Any, ...] = ()) -> None:
    for model in MODELS:
        if model not in but:
            multiply(model.objects.order_by("pk").first(), count)


def queries(client: APIClient, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(path, {"page_size": 200})
    assert answer.status_code == 200, answer.content
    return len(seen)


def test_every_list_needs_the_same_queries_for_ten_rows_and_for_a_thousand(client, world):
    grow(10)
    few = {name: queries(client, path) for name, path in lists(world).items()}
    grow(1_000)

    many = {name: queries(client, path) for name, path in lists(world).items()}

    assert len(many) >= 19
    assert many == few
    assert max(many.values()) <= 5


def test_lists_answer_while_there_are_many_rows(client, world, capsys):
    multiply(Project.objects.order_by("pk").first(), PROJECTS)
    task = Task.objects.get(pk=world.ids["tasks"])
    event = TaskEvent.objects.filter(task=task).first()
    multiply(task, PROJECTS)
    multiply(event, EVENTS)
    spread_tasks(but=task)
    member = make_user()
    half = Project.objects.order_by("pk").values("pk")[: PROJECTS // 2]
    Project.objects.filter(pk__in=half).exclude(pk=world.ids["projects"]).update(owner=member)
    # What is one's own only is another question to the database than everything.
    askers = {"owner": client, "member": client_of(member)}

    figures = {
        who: {
            name: spent
            for name, path in lists(world).items()
            if (spent := median_ms(asker, path)) is not None
        }
        for who, asker in askers.items()
    }

    assert len(figures["member"]) >= 10
    slowest = {
        who: {"list": (name := max(found, key=lambda one: found[one])), "median_ms": found[name]}
        for who, found in figures.items()
    }
    told = {"slowest": slowest, "projects": PROJECTS, "events": EVENTS}
    with capsys.disabled():
        print(f" lists {json.dumps(told)}")
    assert Project.objects.count() > PROJECTS
    assert TaskEvent.objects.count() > EVENTS


def spread_tasks(*, but: Task) -> None:
    """Give every project a task of its own, as they have in life."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE projects_task SET project_id = project.id
            FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM projects_project) project,
                 (SELECT id, row_number() OVER (ORDER BY id) AS place FROM projects_task) task
            WHERE task.id = projects_task.id AND task.place = project.place AND projects_task.id <> %s""",
            [but.pk],
        )


def client_of(person: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(person)
    return client


def median_ms(client: APIClient, path: str) -> float | None:
    """How long a list takes, None if it is not for them; the first request warms everything up."""
    if client.get(path).status_code in (403, 404):
        return None
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        assert client.get(path).status_code == 200
        spent.append(1_000 * (time.perf_counter() - began))
    return round(statistics.median(spent), 1)
