"""Pages and answers about one row stay what they are while much is tied to it: same queries, bounded size."""

import re
from html import unescape
from typing import Any, Final

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.bot.models import ChatFile, ChatMessage, Delivery, Trouble
from apps.graph.models import Question, Run, Step
from apps.hooks.models import HookDelivery
from apps.infra.models import Incident, PortAllocation, Provisioning, ServerMetric, ServiceDeployment
from apps.projects.models import Dispatch, MergeRequest, ProjectSecret, Task, TaskEvent
from apps.roles import Role
from apps.workers.models import DeadLetter, Snapshot, Turn, Verification, Worker, WorkerEvent
from tests.admin_rows import Story, failure, make_dead_letter, make_question, operator, page_of
from tests.bulk_rows import multiply
from tests.factories import make_deployment, make_run, make_task, make_user, make_worker
from tests.orchestrator.test_lists import MODELS, client_of
from tests.orchestrator.test_routes import World, every_route, make_world

pytestmark = [pytest.mark.service, pytest.mark.django_db]

#: A page that draws a thousand of anything in full is larger than this.
LARGEST_BYTES: Final = 600_000
#: What is tied to a project, a task, a run, a worker, a server or a chat.
TIED: Final[list[Any]] = [
    *(Task, Run, Step, TaskEvent, MergeRequest, Verification, ServiceDeployment, Dispatch, Question),
    *(Worker, Turn, Snapshot, WorkerEvent, DeadLetter, ProjectSecret, PortAllocation, Provisioning),
    *(ServerMetric, Incident, ChatMessage, ChatFile, Delivery, HookDelivery),
]
#: About one row, though their names do not say so.
DETAILS: Final = {"task-action-card", "worker-logs"}


@pytest.fixture
def browser() -> Client:
    """The browser of a person who may do everything."""
    made = Client()
    made.force_login(operator())
    return made


def queries(client: Any, path: str) -> tuple[int, int]:
    """Return how many queries an answer took and how many bytes it has."""
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(path)
    assert answer.status_code == 200, (path, answer.content[:500])
    return len(seen), len(answer.content)


def grow(rows: list[Model], count: int) -> None:
    """Tie so many more rows of everything to what is there."""
    known = {type(row): row for row in reversed(rows)}
    for model in TIED:
        row = known.get(model) or model._default_manager.order_by("pk").first()
        assert row is not None, model
        multiply(row, count)


def make_story() -> list[Model]:
    """Return one row of every kind that has a page, everything tied to the same task."""
    story = Story()
    rows = story.rows()
    ServerMetric.objects.create(server=story.deployment.server, measured_at=timezone.now(), cpus=2)
    WorkerEvent.objects.create(
        worker=story.worker,
        turn_id=story.turn.pk,
        boot="b",
        seq=1,
        kind="progress",
        body={"message": "Reading"},
    )
    return rows


def test_every_page_needs_the_queries_of_ten_tied_rows_for_a_thousand(browser: Client) -> None:
    rows = make_story()
    grow(rows, 10)
    few = {page_of(row): queries(browser, page_of(row))[0] for row in rows}
    grow(rows, 1_000)

    many = {page_of(row): queries(browser, page_of(row)) for row in rows}

    # What is asked once for all, such as the types of content, is among the few.
    assert {path: count for path, (count, _) in many.items() if count > few[path]} == {}
    assert {path: size for path, (_, size) in many.items() if size > LARGEST_BYTES} == {}
    links = {link for row in rows for link in left_out_by(browser, row)}
    assert len(links) >= 10, links
    for link in links:
        answer = browser.get(unescape(link))
        assert answer.status_code == 200, link
        if link.startswith("/admin/"):
            assert answer.context["cl"].result_count > 100, link


def left_out_by(browser: Client, row: Model) -> list[str]:
    """Return the addresses of everything that a page leaves out."""
    text = browser.get(page_of(row)).content.decode()
    said = re.findall(r'class="orch-(?:more|earlier)">(.*?)</(?:p|li)>', text, re.DOTALL)
    return [link for words in said for link in re.findall(r'href="([^"]+)"', words)]


def test_first_page_needs_the_queries_of_ten_rows_for_a_thousand(browser: Client) -> None:
    rows: list[tuple[Any, dict[str, Any]]] = [
        (make_task(status="running"), {"status": "running"}),
        (make_task(status="failed", failure=failure(), finished_at=timezone.now()), {"status": "failed"}),
        (make_dead_letter(), {"status": "pending"}),
        (make_question(), {"status": "open"}),
        (make_worker(status="running", verdict="stalled"), {"status": "running"}),
        (Incident.objects.create(key="x", kind="x", message="x"), {"status": "open"}),
        (Trouble.objects.create(key="x", code="x", message="x", last_at=timezone.now()), {}),
    ]
    few = _grown_first_page(browser, rows, 10)

    many = _grown_first_page(browser, rows, 1_000)

    assert many[0] == few[0]
    assert many[1] < LARGEST_BYTES


def _grown_first_page(browser: Client, rows: list[tuple[Any, dict[str, Any]]], count: int) -> tuple[int, int]:
    for row, fields in rows:
        multiply(row, count, **fields)
    for _ in range(min(count, 50)):
        make_run(task=make_task(status="running"), status="waiting", waiting_for="worker:x")
        make_deployment(status="live", live_at=timezone.now())
    browser.get("/admin/")
    return queries(browser, "/admin/")


def details(world: World) -> dict[str, str]:
    """Return the path of everything in the API that is about one row."""
    return {
        route.name: world.path(route)
        for route in every_route()
        if route.method == "get"
        and route.path.startswith("/api/")
        and not route.path.startswith("/api/worker/")
        and (route.name.endswith("-detail") or route.name in DETAILS)
    }


@pytest.mark.parametrize("role", [Role.OWNER, Role.MEMBER])
def test_every_answer_about_a_row_needs_the_queries_of_ten_tied_rows_for_a_thousand(role: Role) -> None:
    world = make_world(make_user(role=role))
    client = client_of(world.owner)
    paths = {
        name: path for name, path in details(world).items() if client.get(path).status_code not in (403, 404)
    }
    few = {}
    for count, told in ((10, few), (1_000, many := {})):
        for model in MODELS:
            multiply(model.objects.order_by("pk").first(), count)
        told.update({name: queries(client, path) for name, path in paths.items()})

    assert len(paths) >= (15 if role == Role.OWNER else 10), sorted(paths)
    assert {name: count for name, (count, _) in many.items()} == {n: c for n, (c, _) in few.items()}
    assert max(count for count, _ in many.values()) <= 12
    assert {name: size for name, (_, size) in many.items() if size > LARGEST_BYTES} == {}
