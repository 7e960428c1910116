"""Who may call what: every route of the API × everybody who may come."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from apps.graph.models import Question
from apps.hooks.services import create_webhook, ping
from apps.infra.models import Incident, PortAllocation, Provisioning, ServerMetric
from apps.projects import timeline
from apps.projects.models import ProjectStatus, TaskEventKind
from apps.projects.services import invite, issue_token
from apps.roles import Role
from apps.workers.credentials import credentials_of
from apps.workers.models import AgentConfig, DeadLetter, Worker
from tests.factories import (
    make_deployment,
    make_document,
    make_merge_request,
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


class Kind(Enum):
    """Whom a route is for."""

    OPEN = auto()  # anybody
    SHARED = auto()  # everybody who is signed in; rows that hold no secrets of anybody
    SEEN = auto()  # who owns the row; viewers and operators
    SECRET = auto()  # who owns the row; operators
    CHANGED = auto()  # the same, and it changes something
    OWN = auto()  # everybody their own, whatever their role
    OPERATED = auto()  # operators and owners
    PEOPLE = auto()  # owners
    WORKERS = auto()  # a worker's token, whatever its commands
    SAID = auto()  # workers with the command; people are told that it is not for them


@dataclass(frozen=True)
class Rule:
    """Whom a route is for, and the command that lets a worker use it."""

    kind: Kind
    command: str = ""


STATUS = "engineering.status"
#: Every route of the API has its line here; a new one fails the first test until it has.
TABLE: dict[tuple[str, str], Rule] = {
    ("schema", "get"): Rule(Kind.OPEN),
    ("api-root", "get"): Rule(Kind.OPEN),
    ("docs", "get"): Rule(Kind.OPEN),
    ("login", "post"): Rule(Kind.OPEN),
    ("logout", "post"): Rule(Kind.OWN),
    ("token-list", "get"): Rule(Kind.OWN),
    ("token-list", "post"): Rule(Kind.OWN),
    ("token-detail", "get"): Rule(Kind.OWN),
    ("token-detail", "delete"): Rule(Kind.OWN),
    ("user-list", "get"): Rule(Kind.PEOPLE),
    ("user-detail", "get"): Rule(Kind.PEOPLE),
    ("user-detail", "patch"): Rule(Kind.PEOPLE),
    ("invitation-list", "get"): Rule(Kind.PEOPLE),
    ("invitation-list", "post"): Rule(Kind.PEOPLE),
    ("invitation-detail", "get"): Rule(Kind.PEOPLE),
    ("invitation-detail", "delete"): Rule(Kind.PEOPLE),
    ("project-list", "get"): Rule(Kind.SEEN, "project.list"),
    ("project-list", "post"): Rule(Kind.CHANGED, "project.create"),
    ("project-detail", "get"): Rule(Kind.SEEN, "project.get"),
    ("project-detail", "patch"): Rule(Kind.CHANGED, "project.update"),
    ("project-scaffold", "post"): Rule(Kind.CHANGED, "project.create"),
    ("project-documents", "get"): Rule(Kind.SEEN, "project.documents"),
    ("document-list", "get"): Rule(Kind.SEEN, "project.documents"),
    ("document-detail", "get"): Rule(Kind.SEEN, "project.documents"),
    ("project-secrets", "get"): Rule(Kind.SECRET, "project.secrets"),
    ("project-secrets", "post"): Rule(Kind.CHANGED, "project.secrets"),
    ("task-list", "get"): Rule(Kind.SEEN, "project.tasks"),
    ("task-list", "post"): Rule(Kind.CHANGED, "engineering.start"),
    ("task-detail", "get"): Rule(Kind.SEEN, STATUS),
    ("task-events", "get"): Rule(Kind.SEEN, STATUS),
    ("task-changes", "get"): Rule(Kind.SEEN, STATUS),
    ("task-event-stream", "get"): Rule(Kind.SEEN, STATUS),
    ("task-action-start", "post"): Rule(Kind.CHANGED, "engineering.start"),
    ("task-action-cancel", "post"): Rule(Kind.CHANGED, "task.cancel"),
    ("task-action-retry", "post"): Rule(Kind.CHANGED, "task.retry"),
    ("task-action-card", "get"): Rule(Kind.SEEN, STATUS),
    ("task-action-attachments", "post"): Rule(Kind.CHANGED, "engineering.start"),
    ("run-list", "get"): Rule(Kind.SEEN, STATUS),
    ("run-detail", "get"): Rule(Kind.SEEN, STATUS),
    ("question-list", "get"): Rule(Kind.SEEN, "task.answer"),
    ("question-detail", "get"): Rule(Kind.SEEN, "task.answer"),
    ("question-answer", "post"): Rule(Kind.CHANGED, "task.answer"),
    ("verification-list", "get"): Rule(Kind.SEEN),
    ("verification-detail", "get"): Rule(Kind.SEEN),
    ("worker-list", "get"): Rule(Kind.SEEN),
    ("worker-detail", "get"): Rule(Kind.SEEN),
    ("worker-logs", "get"): Rule(Kind.SEEN),
    ("worker-stop", "post"): Rule(Kind.CHANGED),
    ("worker-workspace", "get"): Rule(Kind.WORKERS),
    ("worker-snapshots", "post"): Rule(Kind.WORKERS),
    ("worker-attachments", "get"): Rule(Kind.WORKERS),
    ("worker-attachment-content", "get"): Rule(Kind.WORKERS),
    ("worker-messages", "post"): Rule(Kind.SAID, "respond"),
    ("worker-questions", "post"): Rule(Kind.SAID, "respond"),
    ("turn-list", "get"): Rule(Kind.SEEN),
    ("turn-detail", "get"): Rule(Kind.SEEN),
    ("webhook-list", "get"): Rule(Kind.SECRET),
    ("webhook-list", "post"): Rule(Kind.CHANGED),
    ("webhook-detail", "get"): Rule(Kind.SECRET),
    ("webhook-detail", "patch"): Rule(Kind.CHANGED),
    ("webhook-detail", "delete"): Rule(Kind.CHANGED),
    ("webhook-ping", "post"): Rule(Kind.CHANGED),
    ("webhook-deliveries", "get"): Rule(Kind.SECRET),
    ("server-list", "get"): Rule(Kind.SHARED, "infra.servers"),
    ("server-detail", "get"): Rule(Kind.SHARED, "infra.servers"),
    ("server-provision", "post"): Rule(Kind.OPERATED),
    ("server-recover", "post"): Rule(Kind.OPERATED),
    ("server-reinstall", "get"): Rule(Kind.OPERATED),
    ("server-reinstall", "post"): Rule(Kind.OPERATED),
    ("server-cancel", "post"): Rule(Kind.OPERATED),
    ("server-maintenance", "post"): Rule(Kind.OPERATED),
    ("server-decommission", "post"): Rule(Kind.OPERATED),
    ("server-maintenance", "delete"): Rule(Kind.OPERATED),
    ("provisioning-list", "get"): Rule(Kind.OPERATED),
    ("provisioning-detail", "get"): Rule(Kind.OPERATED),
    ("allocation-list", "get"): Rule(Kind.SEEN),
    ("service-deployment-list", "get"): Rule(Kind.SEEN, "deploy.status"),
    ("service-deployment-detail", "get"): Rule(Kind.SEEN, "deploy.status"),
    ("service-deployment-stop", "post"): Rule(Kind.CHANGED),
    ("service-deployment-action-rollback", "post"): Rule(Kind.CHANGED, "deploy.start"),
    ("agent-config-list", "get"): Rule(Kind.SHARED),
    ("agent-config-list", "post"): Rule(Kind.OPERATED),
    ("agent-config-detail", "get"): Rule(Kind.SHARED),
    ("agent-config-detail", "patch"): Rule(Kind.OPERATED),
    ("incident-list", "get"): Rule(Kind.OPERATED),
    ("incident-detail", "get"): Rule(Kind.OPERATED),
    ("incident-resolve", "post"): Rule(Kind.OPERATED),
    ("server-metric-list", "get"): Rule(Kind.OPERATED),
    ("dead-letter-list", "get"): Rule(Kind.OPERATED),
    ("dead-letter-detail", "get"): Rule(Kind.OPERATED),
    ("dead-letter-discard", "post"): Rule(Kind.OPERATED),
    ("dead-letter-replay", "post"): Rule(Kind.OPERATED),
}
CREATES = {
    *((name, method) for name, method in TABLE if name.endswith("-list") and method == "post"),
    ("project-secrets", "post"),
    ("worker-messages", "post"),
}
#: Outside the API: health, what is signed by its sender, and Flower behind the admin's login.
OUTSIDE = {"", "health-live", "health-ready", "github-webhook", "telegram-webhook", "flower"}
BODIES: dict[str, Any] = {
    "project-list": {"name": "Books"},
    "project-detail": {"name": "Other books"},
    "project-secrets": {"key": "API_KEY", "value": "sesame-open"},
    "agent-config-list": {"name": "mine", "agent_type": "rehearsal"},
    "agent-config-detail": {"model": "small"},
    "question-answer": {"text": "yes"},
    "task-action-attachments": {"attachment_id": str(UUID(int=1))},
    "worker-messages": {"message": "hello"},
    "worker-questions": {"text": "Which?"},
    "token-list": {"name": "laptop"},
    "invitation-list": {"role": "viewer"},
    "user-detail": {"is_active": True},
    "server-provision": {"replace": False},
    "webhook-list": {"url": "https://hooks.example/", "events": ["task.failed"]},
    "webhook-detail": {"is_active": True},
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
        path = route.path.replace("<pk>", str(self.ids.get(key, ""))).replace(
            "<uuid:pk>", str(self.ids.get(key, ""))
        )
        path = path.replace("<uuid:attachment_id>", str(UUID(int=1)))
        path = path.replace("<uuid:project_id>", str(self.ids["projects"]))
        path = path.replace("<uuid:webhook_id>", str(self.ids["webhooks"]))
        return path.replace("<uuid:task_id>", str(self.ids["tasks"]))


def make_world(owner: Any) -> World:
    project = make_project(owner=owner, status=ProjectStatus.ACTIVE)
    task = make_task(project=project)
    run = make_run(task=make_task(project=project, status="running"))
    worker = make_worker(owner_id=owner.pk, project_id=project.pk)
    server = make_server()
    deployment = make_deployment(owner_id=owner.pk, server=server, status="live", project_id=project.pk)
    PortAllocation.objects.create(
        server=server, port=21_500, owner_id=owner.pk, project_id=project.pk, deployment=deployment
    )
    question = Question.objects.create(
        idempotency_key=f"question-{run.pk}",
        run=run,
        text="Which?",
        deadline_at=timezone.now() + timedelta(hours=1),
    )
    timeline.record(task_id=task.pk, key="acknowledged", kind=TaskEventKind.ACKNOWLEDGED, data={})
    make_merge_request(task=task)
    webhook, _ = create_webhook(owner_id=owner.pk, url="https://hooks.example/", events=["task.failed"])
    ping(webhook_id=webhook.pk)
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
            "provisionings": Provisioning.objects.create(
                server=server, idempotency_key=f"set-up-{server.pk}", status="succeeded"
            ).pk,
            "server_metrics": ServerMetric.objects.create(server=server).pk,
            "incidents": Incident.objects.create(
                key=f"disk_full:server:{server.pk}", kind="disk_full", message="full", server=server
            ).pk,
            "service_deployments": deployment.pk,
            "verifications": make_verification(project_id=project.pk).pk,
            "questions": question.pk,
            "agent_configs": AgentConfig.objects.create(name=f"a{owner.pk}", agent_type="rehearsal").pk,
            "dead_letters": letter.pk,
            "users": owner.pk,
            "webhooks": webhook.pk,
            "documents": make_document(project=project).pk,
            "tokens": issue_token(person_id=owner.pk, name="mine")[0].public_id,
            "invitations": invite(created_by_id=None, role=Role.VIEWER)[0].pk,
        },
    )


def body_of(route: "Route", where: "World") -> Any:
    if route.name == "task-list":
        return {"project_id": str(where.ids["projects"]), "type": "engineering", "spec": "books"}
    return BODIES.get(route.name)


@pytest.fixture
def world() -> World:
    return make_world(make_user())


@pytest.fixture
def call(world: World) -> Callable[..., Any]:
    """Call a route for a row of the world, as somebody."""

    def send(route: Route, client: APIClient, where: World | None = None) -> Any:
        where = where or world
        arguments = {"format": "json", "data": body_of(route, where)} if route.method != "get" else {}
        return getattr(client, route.method)(where.path(route), **arguments)

    return send


def person(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def token_client(owner: Any, scopes: list[str]) -> APIClient:
    client = APIClient()
    _, words = issue_token(person_id=owner.pk, name="scoped", scopes=scopes)
    client.credentials(HTTP_AUTHORIZATION=f"Token {words}")
    return client


def worker_client(owner: Any, allowed: list[str], **fields: Any) -> APIClient:
    worker = make_worker(owner_id=owner.pk, allowed_commands=allowed, **fields)
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Worker {secrets.token}")
    return client


API = [route for route in every_route() if route.path.startswith("/api/")]
GUARDED = [route for route in API if TABLE.get(route.key, Rule(Kind.OPEN)).kind != Kind.OPEN]
WITH_ROW = [route for route in GUARDED if "<" in route.path]


def names(route: Route) -> str:
    return f"{route.method} {route.name}"


def outcome(answer: Any) -> str:
    """What somebody got: nothing they may know of, a refusal, nothing of theirs, or what they asked for."""
    if answer.status_code in {401, 403, 404}:
        body = answer.json()
        assert set(body) == {"error", "message", "details"}
        return str(answer.status_code)
    assert answer.status_code < 300 or answer.status_code in {400, 409, 415}, answer.content
    return "empty" if b'"results":[]' in getattr(answer, "content", b"") else "yes"


def expected(route: Route, rule: Rule) -> dict[str, str]:
    """Who gets what from a route, for rows of one member."""
    names_a_row = "<" in route.path or route.key == ("task-list", "post")
    strangers = "404" if names_a_row else "yes"
    if route.method == "get" and route.name.endswith("-list"):
        strangers = "empty"
    may = "yes" if rule.command else "403"
    theirs = strangers if rule.command else "403"
    people: dict[Kind, tuple[str, str, str, str, str]] = {
        # member, stranger, viewer, operator, owner
        Kind.SHARED: ("yes", "yes", "yes", "yes", "yes"),
        Kind.SEEN: ("yes", strangers, "yes", "yes", "yes"),
        Kind.SECRET: ("yes", strangers, "403", "yes", "yes"),
        Kind.CHANGED: ("yes", strangers, "403", "yes", "yes"),
        Kind.OWN: ("yes", strangers, strangers, strangers, strangers),
        Kind.OPERATED: ("403", "403", "403", "yes", "yes"),
        Kind.PEOPLE: ("403", "403", "403", "403", "yes"),
        Kind.WORKERS: ("403", "403", "403", "403", "403"),
        Kind.SAID: ("yes", "yes", "yes", "yes", "yes"),
    }
    workers: dict[Kind, tuple[str, str, str]] = {
        # without a command, with all, with all and of an operator
        Kind.SHARED: ("403", may, may),
        Kind.WORKERS: ("yes", "yes", "yes"),
        Kind.SAID: ("403", "yes", "yes"),
    }
    roles = zip(ROLES, people[rule.kind], strict=True)
    return dict(roles) | dict(zip(WORKERS, workers.get(rule.kind, ("403", may, theirs)), strict=True))


ROLES = ("member", "stranger", "viewer", "operator", "owner")
WORKERS = ("mute worker", "worker", "operator's worker")


def test_every_route_has_its_line_and_every_line_its_route():
    assert {route.key for route in API} == set(TABLE)


def test_outside_the_api_there_is_only_what_anybody_may_see_and_what_is_signed():
    outside = {route.name for route in every_route() if not route.path.startswith("/api/")}

    assert outside <= OUTSIDE


def test_delivery_without_a_signature_is_refused(client, settings):
    settings.GITHUB_WEBHOOK_SECRET = "shared-with-the-host"

    answer = client.post("/webhooks/github", data="{}", content_type="application/json")

    assert answer.status_code == 401


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_nobody_may_do_anything(route, call):
    answer = call(route, APIClient())

    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "message", "details"}


@pytest.mark.parametrize("name", ["health-live", "health-ready", "schema", "docs"])
def test_what_anybody_may_read(name, client):
    path = next(route.path for route in every_route() if route.name == name)

    assert client.get(path).status_code == 200


def test_root_of_the_api_leads_to_its_description(client):
    answer = client.get("/api/")

    assert (answer.status_code, answer["Location"]) == (302, "/api/docs/")


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_everybody_gets_what_the_table_says_and_nothing_else(route, call, world):
    operator = make_user(role=Role.OPERATOR)
    clients = {
        "stranger": person(make_user()),
        "viewer": person(make_user(role=Role.VIEWER)),
        "mute worker": worker_client(world.owner, []),
        "operator's worker": worker_client(operator, ["*"]),
        "worker": worker_client(world.owner, ["*"]),
        "operator": person(operator),
        "owner": person(make_user(role=Role.OWNER)),
        "member": person(world.owner),
    }

    seen = {who: outcome(call(route, client)) for who, client in clients.items()}

    wanted = expected(route, TABLE[route.key])
    assert seen == wanted | EXCEPTIONS.get(route.key, {})


EXCEPTIONS: dict[tuple[str, str], dict[str, str]] = {
    # It knows no worker's token at all.
    ("logout", "post"): dict.fromkeys(WORKERS, "401"),
    # The operator came first, and it is gone.
    ("webhook-detail", "delete"): {"owner": "404", "member": "404"},
    # There is no such file, which is told to those only who may look for it.
    ("worker-attachment-content", "get"): dict.fromkeys(WORKERS, "404"),
    ("task-action-attachments", "post"): dict.fromkeys(("member", "operator", "owner", "worker"), "404"),
}


@pytest.mark.parametrize("route", GUARDED, ids=names)
def test_token_is_good_for_its_scopes_only(route, call, world):
    """Read shows, write changes, operate reaches what is not one's own."""
    rule = TABLE[route.key]
    owner = make_user(role=Role.OWNER)
    needed = "read" if route.method == "get" else "write"
    without = token_client(world.owner, sorted({"read", "write", "operate"} - {needed}))
    powerless = token_client(owner, ["read", "write"])

    refused, reduced = outcome(call(route, without)), outcome(call(route, powerless))

    assert refused == ("yes" if route.name == "logout" else "403")
    # The list of tokens has the one that asks.
    assert reduced == ("yes" if route.name == "token-list" else expected(route, rule)["stranger"])


@pytest.mark.parametrize("route", [r for r in GUARDED if r.key in CREATES], ids=names)
def test_create_with_a_key_happens_once(route, world):
    where = {"invitation-list": Role.OWNER, "agent-config-list": Role.OPERATOR}
    client = person(make_user(role=where[route.name]) if route.name in where else world.owner)
    if route.name == "worker-messages":
        client = worker_client(world.owner, ["*"])
    send = partial(client.post, world.path(route), body_of(route, world), format="json")

    first = send(HTTP_IDEMPOTENCY_KEY="once")
    again = send(HTTP_IDEMPOTENCY_KEY="once")

    assert (first.status_code, again.status_code) == (201, 201), first.content
    assert again["Idempotent-Replayed"] == "true"
    hidden = {"token", "code", "link", "secret"}
    assert {**again.json(), **dict.fromkeys(hidden)} == {**first.json(), **dict.fromkeys(hidden)}
    assert not any(again.json().get(name) for name in hidden)


def test_worker_of_an_operator_lists_its_owners_rows_only(world):
    operator = make_user(role=Role.OPERATOR)
    mine = make_project(owner=operator)

    listed = worker_client(operator, ["*"]).get("/api/projects/").json()["results"]

    assert [project["id"] for project in listed] == [str(mine.pk)]


def test_viewer_sees_no_conversation_of_somebody_with_their_worker(world):
    po = make_worker(owner_id=world.owner.pk, worker_type="po", project_id=None, task_id=None)
    viewer = person(make_user(role=Role.VIEWER))

    listed = viewer.get("/api/workers/").json()["results"]

    assert [row["id"] for row in listed] == [str(world.ids["workers"])]
    assert viewer.get(f"/api/workers/{po.pk}/").status_code == 404


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

    answer = person(make_user(role=Role.OWNER)).get(path)

    assert answer.status_code == 404
