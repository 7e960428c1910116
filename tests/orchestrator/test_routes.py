"""Who may call what: every route of the API × everybody who may come."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from apps.graph.models import Question
from apps.projects.models import ProjectStatus
from apps.workers.credentials import credentials_of
from apps.workers.models import AgentConfig, DeadLetter, Worker
from tests.factories import (
    make_deployment,
    make_project,
    make_run,
    make_server,
    make_task,
    make_turn,
    make_user,
    make_verification,
    make_worker,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

ANONYMOUS = {"", "health-live", "health-ready", "schema", "docs", "login"}
#: Their callers have no account: they sign what they send.
SIGNED = {"github-webhook"}
#: Everybody who is signed in sees them (servers hold no secrets of anybody).
SHARED = {"server-list", "server-detail", "agent-config-list", "agent-config-detail"}
OPERATORS = {
    ("agent-config-list", "post"),
    ("agent-config-detail", "patch"),
    ("dead-letter-list", "get"),
    ("dead-letter-detail", "get"),
    ("dead-letter-discard", "post"),
    ("dead-letter-replay", "post"),
}
WORKERS = {("worker-workspace", "get"), ("worker-snapshots", "post")}
#: Not for a worker's token, whatever its commands: nothing names them in its contract.
PEOPLE = {
    "worker-list",
    "worker-detail",
    "worker-logs",
    "worker-stop",
    "turn-list",
    "turn-detail",
    "allocation-list",
    "verification-list",
    "verification-detail",
    "agent-config-list",
    "agent-config-detail",
    "service-deployment-stop",
    "logout",
}
BODIES: dict[str, Any] = {
    "project-list": {"name": "Books"},
    "project-detail": {"name": "Other books"},
    "project-secrets": {"key": "API_KEY", "value": "sesame-open"},
    "agent-config-list": {"name": "mine", "agent_type": "rehearsal"},
    "agent-config-detail": {"model": "small"},
    "question-answer": {"text": "yes"},
    "worker-messages": {"message": "hello"},
}


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    path: str
    name: str
    method: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.name, self.method)


def every_route() -> list[Route]:
    return sorted(_walk(get_resolver().url_patterns, ""), key=lambda route: (route.path, route.method))


def _walk(patterns: list[Any], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from _walk(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            path = "/" + (prefix + str(pattern.pattern)).replace("(?P<pk>[^/.]+)", "<pk>")
            path = path.replace("^", "").replace("$", "")
            for method in _methods(pattern.callback):
                yield Route(path, pattern.name or "", method)


def _methods(view: Any) -> list[str]:
    actions = getattr(view, "actions", None)
    if actions:
        return list(actions)
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    names = ("get", "post", "put", "patch", "delete")
    return (
        [name for name in names if hasattr(cls, name)] if cls and cls.__module__[:6] != "django" else ["get"]
    )


@dataclass
class World:
    """One row of everything, all of one owner."""

    owner: Any
    ids: dict[str, Any]

    def path(self, route: Route) -> str:
        kind = route.name.rsplit("-", 1)[0] if route.name.count("-") else route.name
        key = next((name for name in self.ids if route.path.startswith(f"/api/{name}/")), kind)
        path = route.path.replace("<pk>", str(self.ids.get(key, "")))
        return path.replace("<uuid:task_id>", str(self.ids["tasks"]))


def make_world(owner: Any) -> World:
    project = make_project(owner=owner, status=ProjectStatus.ACTIVE)
    task = make_task(project=project)
    run = make_run(task=make_task(project=project, status="running"))
    worker = make_worker(owner_id=owner.pk, project_id=project.pk)
    server = make_server()
    question = Question.objects.create(
        idempotency_key=f"question-{run.pk}",
        run=run,
        text="Which?",
        deadline_at=timezone.now() + timedelta(hours=1),
    )
    letter = DeadLetter.objects.create(stream="s", entry_id=f"{owner.pk}-0", payload="{}", reason="bad")
    return World(
        owner,
        {
            "projects": project.pk,
            "tasks": task.pk,
            "runs": run.pk,
            "workers": worker.pk,
            "turns": make_turn(worker=worker).pk,
            "servers": server.pk,
            "service_deployments": make_deployment(
                owner_id=owner.pk, server=server, status="live", project_id=project.pk
            ).pk,
            "verifications": make_verification(project_id=project.pk).pk,
            "questions": question.pk,
            "agent_configs": AgentConfig.objects.create(name=f"a{owner.pk}", agent_type="rehearsal").pk,
            "dead_letters": letter.pk,
        },
    )


@pytest.fixture
def world() -> World:
    return make_world(make_user())


@pytest.fixture
def call(world: World) -> Callable[..., Any]:
    """Call a route for a row of the world, as somebody."""

    def send(route: Route, client: APIClient, where: World | None = None) -> Any:
        where = where or world
        body = BODIES.get(route.name)
        if route.name == "task-list":
            body = {"project_id": str(where.ids["projects"]), "type": "engineering", "spec": "books"}
        arguments = {"format": "json", "data": body} if route.method != "get" else {}
        return getattr(client, route.method)(where.path(route), **arguments)

    return send


def person(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def worker_client(owner: Any, allowed: list[str], **fields: Any) -> APIClient:
    worker = make_worker(owner_id=owner.pk, allowed_commands=allowed, **fields)
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    return client


API = [route for route in every_route() if route.path.startswith("/api/")]
GUARDED = [route for route in API if route.name not in ANONYMOUS]
WITH_ROW = [route for route in GUARDED if "<" in route.path]


def names(route: Route) -> str:
    return f"{route.method} {route.name}"


def test_walk_finds_the_routes():
    assert len(GUARDED) > 35
    assert {"project-list", "task-event-stream", "worker-snapshots", "logout"} <= {r.name for r in GUARDED}


def test_outside_the_api_there_is_only_what_anybody_may_see_and_what_is_signed():
    outside = {route.name for route in every_route() if not route.path.startswith("/api/")}

    assert outside == {"", "health-live", "health-ready", *SIGNED}


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_delivery_without_a_signature_is_refused(name, client, settings):
    settings.GITHUB_WEBHOOK_SECRET = "shared-with-the-host"
    path = next(route.path for route in every_route() if route.name == name)

    answer = client.post(path, data="{}", content_type="application/json")

    assert answer.status_code == 401


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_nobody_may_do_anything(route, call):
    answer = call(route, APIClient())

    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "message", "details"}


@pytest.mark.parametrize("name", sorted(ANONYMOUS - {"", "login"}))
def test_what_anybody_may_read(name, client):
    path = next(route.path for route in every_route() if route.name == name)

    assert client.get(path).status_code == 200


@pytest.mark.parametrize("route", WITH_ROW, ids=names)
def test_stranger_finds_nothing(route, call):
    answer = call(route, person(make_user()))

    if route.key in OPERATORS:
        assert answer.status_code == 403
    elif route.name in SHARED:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 404
        assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize(
    "route", [r for r in GUARDED if r.name.endswith("-list") and r.method == "get"], ids=names
)
def test_stranger_lists_nothing(route, call):
    answer = call(route, person(make_user()))

    if route.key in OPERATORS:
        assert answer.status_code == 403
    elif route.name not in SHARED:
        assert answer.json()["results"] == []


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_owner_may_do_what_is_for_people(route, call, world):
    answer = call(route, person(world.owner))

    if route.key in OPERATORS | WORKERS:
        assert answer.status_code == 403
    elif route.name == "worker-messages":
        assert answer.status_code == 400
    else:
        assert answer.status_code < 300 or answer.status_code == 409, answer.content


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_operator_sees_everything_but_what_is_a_workers_own(route, call):
    answer = call(route, person(make_user(is_staff=True)))

    if route.key in WORKERS:
        assert answer.status_code == 403
    elif route.name in {"worker-messages", "dead-letter-replay"}:
        assert answer.status_code == 400
    else:
        assert answer.status_code < 300 or answer.status_code == 409, answer.content


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_worker_with_an_empty_list_may_do_nothing_but_its_own(route, call, world):
    answer = call(route, worker_client(world.owner, []))

    if route.key in WORKERS:
        assert answer.status_code in {204, 400, 415}
    elif route.name == "logout":
        assert answer.status_code == 401
    else:
        assert answer.status_code == 403
        assert "not allowed" in answer.json()["message"]
        assert answer.json()["error"] == "permission_denied"


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_worker_with_everything_may_what_its_contract_names(route, call, world):
    answer = call(route, worker_client(world.owner, ["*"]))

    if route.key in OPERATORS or route.name in PEOPLE:
        assert answer.status_code in {401, 403}
    elif route.key in WORKERS:
        assert answer.status_code in {204, 400, 415}
    else:
        assert answer.status_code < 300 or answer.status_code == 409, answer.content


@pytest.mark.parametrize("route", WITH_ROW, ids=names)
def test_worker_of_an_operator_sees_its_owners_rows_only(route, call):
    answer = call(route, worker_client(make_user(is_staff=True), ["*"]))

    if route.name == "server-detail":
        assert answer.status_code == 200
    else:
        assert answer.status_code in {403, 404}


def test_worker_of_an_operator_lists_its_owners_rows_only(world):
    operator = make_user(is_staff=True)
    mine = make_project(owner=operator)

    listed = worker_client(operator, ["*"]).get("/api/projects/").json()["results"]

    assert [project["id"] for project in listed] == [str(mine.pk)]


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed", "crashed", "canceled"])
def test_token_of_a_worker_that_does_not_live_is_refused(status):
    client = worker_client(make_user(), ["*"], status=status)

    assert client.get("/api/projects/").status_code == 401


def test_worker_of_somebody_who_left_is_refused():
    client = worker_client(make_user(is_active=False), ["*"])

    assert client.get("/api/projects/").status_code == 401


@pytest.mark.parametrize(
    "header", ["Worker", "Worker a b", "Worker " + "x" * 10_000, "Worker \xff", "Token x"]
)
def test_malformed_credentials_are_401(header):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)

    assert client.get("/api/projects/").status_code == 401


@pytest.mark.parametrize("path", ["/api/worker/workspace", "/api/tasks/{task}/events/stream"])
def test_head_asks_for_the_same_permission_as_get(path, world):
    path = path.format(task=world.ids["tasks"])

    as_person = person(world.owner).head(path)
    as_worker = worker_client(world.owner, []).head(path)

    assert as_person.status_code == (403 if "worker" in path else 200)
    assert as_worker.status_code == (204 if "worker" in path else 403)


@pytest.mark.parametrize(
    "row", ["x", "0", "%00", "99999999999999999999999", "../admin", "'", str(UUID(int=1))]
)
@pytest.mark.parametrize("route", [r for r in WITH_ROW if r.method == "get" and "<pk>" in r.path], ids=names)
def test_row_that_cannot_exist_is_404(route, row):
    path = route.path.replace("<pk>", row)

    answer = person(make_user(is_staff=True)).get(path)

    assert answer.status_code == 404
