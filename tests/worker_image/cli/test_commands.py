"""Every command: what it asks, what it prints, how it exits."""

import hashlib
import json
from typing import Any

import pytest
from click.testing import Result

from tests.worker_image.cli.conftest import LOST

pytestmark = pytest.mark.unit

PROJECT = {
    "id": "p1",
    "name": "Books",
    "slug": "books",
    "status": "active",
    "modules": ["backend"],
    "created_at": "2026-01-02T03:04:05Z",
    "failure": None,
}
TASK = {
    "id": "t1",
    "type": "engineering",
    "status": "running",
    "spec": "books",
    "failure": None,
    "result": None,
}
DONE = {**TASK, "status": "completed", "result": {"url": "http://127.0.0.1:21000/"}}
FAILURE = {
    "stage": "checks",
    "kind": "product",
    "code": "checks_failed",
    "message": "1 of 9 tests failed",
    "retryable": False,
    "details": {},
}
CARD = {
    "task_id": "t1",
    "title": "books",
    "status": "completed",
    "agent": "rehearsal",
    "lines": [],
    "url": "http://127.0.0.1:21000/",
    "failure": None,
    "elapsed_seconds": 12.0,
    "accounting": {},
}


def page(*rows: Any, following: str | None = None) -> tuple[int, dict[str, Any]]:
    return 200, {"next": following, "previous": None, "results": list(rows)}


def refusal(status: int, kind: str, message: str = "no", **details: str) -> tuple[int, dict[str, Any]]:
    return status, {"error": kind, "message": message, "details": details}


def said(result: Result) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture
def table(api):
    """An API on which everything works."""
    api.on("POST", "/api/projects/", (201, PROJECT))
    api.on("POST", "/api/projects/p1/scaffold/", (202, PROJECT))
    api.on("GET", "/api/projects/", page(PROJECT))
    api.on("GET", "/api/projects/p1/", (200, PROJECT))
    api.on("GET", "/api/tasks/", page(TASK))
    api.on("POST", "/api/tasks/", (201, TASK))
    api.on("GET", "/api/tasks/t1/", (200, DONE))
    api.on("GET", "/api/tasks/t1/card/", (200, CARD))
    api.on("POST", "/api/tasks/t1/start/", (202, {"id": "r1"}))
    api.on("POST", "/api/tasks/t1/cancel/", (202, TASK))
    api.on("POST", "/api/tasks/t1/retry/", (201, {**TASK, "id": "t2"}))
    api.on("POST", "/api/questions/q1/answer/", (200, {"id": "q1"}))
    api.on("GET", "/api/servers/", page({"id": 1, "name": "local"}))
    api.on("POST", "/api/worker/messages", (201, {"id": 5}))
    api.on("POST", "/api/worker/questions", (201, {"id": "q1"}))
    api.on("GET", "/health/ready", (200, {"status": "ok", "database": "ok", "broker": "ok", "channel": "ok"}))
    return api


COMMANDS = {
    "project.create": ["project", "create", "--name", "Books"],
    "project.list": ["project", "list"],
    "project.get": ["project", "get", "p1"],
    "project.tasks": ["project", "tasks", "p1"],
    "engineering.start": ["engineering", "start", "--project", "p1", "--spec", "books"],
    "engineering.status": ["engineering", "status", "t1"],
    "engineering.wait": ["engineering", "wait", "t1"],
    "deploy.start": ["deploy", "start", "--project", "p1"],
    "deploy.status": ["deploy", "status", "t1"],
    "deploy.wait": ["deploy", "wait", "t1"],
    "task.cancel": ["task", "cancel", "t1"],
    "task.retry": ["task", "retry", "t1"],
    "task.answer": ["task", "answer", "q1", "yes"],
    "infra.servers": ["infra", "servers"],
    "respond": ["respond", "--message", "done"],
    "diagnose.api": ["diagnose", "api"],
    "diagnose.redis": ["diagnose", "redis"],
    "diagnose.projects": ["diagnose", "projects"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_that_works_prints_json_and_exits_0(table, person, command):
    result = person(*command)

    assert result.exit_code == 0, result.output
    assert set(said(result)) == {"success", "data", "message"}
    assert said(result)["success"] is True


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_that_is_not_allowed_asks_nothing_and_exits_3(table, worker, command):
    result = worker(*command, allowed='["documents.search"]')

    assert result.exit_code == 3
    assert said(result)["error"] == "permission_denied"
    assert "permission denied" in result.output.lower()
    assert "not allowed" in result.output
    assert table.heard == []


@pytest.mark.parametrize("allowed", ["[]", "", "not json", "{}", "null", '"*"'])
def test_list_that_is_empty_or_none_allows_nothing(table, worker, allowed):
    result = worker("project", "list", allowed=allowed)

    assert (result.exit_code, table.heard) == (3, [])


@pytest.mark.parametrize("name", COMMANDS)
def test_permission_of_its_own_is_enough(table, worker, name):
    result = worker(*COMMANDS[name], allowed=json.dumps([name]))

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_refusal_of_the_server_is_the_same_as_ours(api, person, command):
    for method in ("GET", "POST"):
        for path in _paths():
            api.on(method, path, refusal(403, "permission_denied", "Permission denied: not allowed"))

    result = person(*command)

    assert result.exit_code == 3
    assert "not allowed" in said(result)["message"]


@pytest.mark.parametrize(
    ("command", "path", "sent"),
    [
        (
            ["project", "secret", "p1", "API_KEY"],
            "/api/projects/p1/secrets/",
            {"key": "API_KEY", "value": "a\nb"},
        ),
        (["task", "answer", "q1"], "/api/questions/q1/answer/", {"text": "a\nb"}),
    ],
)
def test_secret_comes_from_standard_input_and_is_printed_nowhere(table, person, command, path, sent):
    table.on("POST", path, (201, {"key": "API_KEY"}))

    result = person(*command, input="a\nb\n")

    assert result.exit_code == 0, result.output
    assert "a\nb" not in result.output
    assert [request.body for request in table.asked("POST", path)] == [sent]


def _paths() -> list[str]:
    tasks = [f"/api/tasks/t1/{name}" for name in ("", "card/", "start/", "cancel/", "retry/")]
    others = ["/api/projects/", "/api/projects/p1/", "/api/tasks/", "/api/questions/q1/answer/"]
    return [*tasks, *others, "/api/servers/", "/api/worker/messages", "/health/ready"]


def test_files_go_with_the_task_before_it_starts(table, person):
    table.on("POST", "/api/tasks/t1/attachments/", (201, {"id": "a2"}))

    result = person("engineering", "start", "--project", "p1", "--spec", "x", "--attach", "a1")

    assert result.exit_code == 0, result.output
    assert [request.path for request in table.heard if request.method == "POST"] == [
        "/api/tasks/",
        "/api/tasks/t1/attachments/",
        "/api/tasks/t1/start/",
    ]
    assert table.asked("POST", "/api/tasks/t1/attachments/")[0].body == {"attachment_id": "a1"}


def test_file_is_fetched_by_its_name_and_nothing_is_overwritten(table, worker, home):
    row = {"id": "a1", "file_name": "logo.txt", "sha256": hashlib.sha256(b'"content"').hexdigest()}
    table.on("GET", "/api/worker/attachments", (200, [row]))
    table.on("GET", "/api/worker/attachments/a1", (200, '"content"'))

    fetched = worker("attachment", "get", "logo.txt", "--to", str(home / "files"), allowed="[]")
    again = worker("attachment", "get", "a1", "--to", str(home / "files"), allowed="[]")
    unknown = worker("attachment", "get", "other", allowed="[]")

    assert fetched.exit_code == 0, fetched.output
    assert (home / "files" / "logo.txt").read_text() == '"content"'
    assert (again.exit_code, said(again)["error"]) == (1, "invalid")
    assert (unknown.exit_code, said(unknown)["error"]) == (1, "not_found")


def test_file_that_arrives_damaged_is_not_written(table, worker, home):
    row = {"id": "a1", "file_name": "logo.txt", "sha256": "0" * 64}
    table.on("GET", "/api/worker/attachments", (200, [row]))
    table.on("GET", "/api/worker/attachments/a1", (200, "other"))

    result = worker("attachment", "get", "a1", "--to", str(home), allowed="[]")

    assert result.exit_code == 4
    assert not (home / "logo.txt").exists()


def test_releases_and_tasks_are_listed_up_to_a_number(table, person):
    release = {"id": "d1", "project_id": "p1", "status": "live", "url": "http://x/", "log_tail": "long"}
    table.on("GET", "/api/service_deployments/", page(release, {**release, "id": "d2"}))

    releases = person("deploy", "list", "--project", "p1", "--limit", "1")
    tasks = person("task", "list", "--status", "running")

    assert [row["id"] for row in said(releases)["data"]] == ["d1"]
    assert "log_tail" not in said(releases)["data"][0]
    assert table.asked("GET", "/api/service_deployments/")[0].query == {
        "project_id": ["p1"],
        "status": ["live"],
    }
    assert [row["id"] for row in said(tasks)["data"]] == ["t1"]
    assert table.asked("GET", "/api/tasks/")[0].query == {"status": ["running"]}


def test_ask_sends_the_options_in_their_order(table, worker):
    result = worker("ask", "--text", "Which?", "--option", "b", "--option", "a", allowed='["respond"]')

    (asked,) = table.asked("POST", "/api/worker/questions")
    assert result.exit_code == 0, result.output
    assert asked.body == {"text": "Which?", "options": ["b", "a"]}


def test_ask_needs_the_permission_to_respond(table, worker):
    result = worker("ask", "--text", "Which?", allowed='["project.*"]')

    assert (result.exit_code, table.heard) == (3, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["project", "create"],
        ["nonsense"],
        ["engineering", "wait", "t1", "--timeout", "soon"],
        ["project", "get"],
    ],
)
def test_wrong_usage_exits_2(home, person, arguments):
    assert person(*arguments).exit_code == 2


def test_nobody_there_exits_4_and_says_what_to_try(home, person, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_URL", "http://127.0.0.1:1")

    result = person("project", "list")

    assert result.exit_code == 4
    assert said(result)["error"] == "unavailable"
    assert "make up" in said(result)["message"]


def test_a_project_is_found_by_its_slug_and_one_that_is_not_there_is_told(api, person):
    api.on("GET", "/api/projects/", page({**PROJECT, "id": "p1"}), page())
    api.on("GET", "/api/projects/p1/", (200, PROJECT))

    found, missing = person("project", "get", "my-books"), person("project", "get", "nothing")

    assert (found.exit_code, missing.exit_code) == (0, 1)
    assert [request.query for request in api.asked("GET", "/api/projects/")] == [
        {"slug": ["my-books"]},
        {"slug": ["nothing"]},
    ]
    assert "orchestrator project list" in missing.output


def test_an_id_is_taken_as_it_is(api, person):
    project = "0b5e53a6-8a5c-4a62-9d7a-3a0f1f6f2a11"
    api.on("GET", f"/api/projects/{project}/", (200, {**PROJECT, "id": project}))

    assert person("project", "get", project).exit_code == 0
    assert not api.asked("GET", "/api/projects/")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(503, "no_capacity"), 4),
        ((502, "<html>bad gateway</html>"), 4),
        (refusal(404, "not_found"), 1),
        (refusal(409, "illegal_transition"), 1),
        (refusal(401, "not_authenticated"), 1),
        ((404, "<html>elsewhere</html>"), 1),
        ((200, "<html>elsewhere</html>"), 1),
    ],
)
def test_answers_have_their_exit_codes(api, person, answer, code):
    api.on("GET", "/api/projects/", page(PROJECT))
    api.on("GET", "/api/projects/p1/", answer)

    result = person("project", "get", "p1")

    assert result.exit_code == code
    assert said(result)["success"] is False


@pytest.mark.parametrize("url", ["http://[", "ftp//x", "http://127.0.0.1:999999"])
def test_address_that_is_none_is_told(home, person, monkeypatch, url):
    monkeypatch.setenv("ORCHESTRATOR_URL", url)

    result = person("project", "list")

    assert result.exit_code in {1, 4}
    assert said(result)["success"] is False


def test_refused_fields_are_shown(api, person):
    api.on("POST", "/api/projects/", refusal(400, "invalid", "The request is not valid.", name="too long"))

    result = person("project", "create", "--name", "x" * 500)

    assert result.exit_code == 1
    assert said(result)["details"] == {"name": "too long"}


def test_moment_of_silence_is_not_noticed(table, person):
    table.on("GET", "/api/projects/p1/", (503, "busy"), (200, PROJECT))

    assert person("project", "get", "p1").exit_code == 0


class TestPages:
    def test_every_page_is_read(self, api, person):
        following = f"{api.url}/api/projects/?cursor=abc%3D"
        api.on("GET", "/api/projects/", page({**PROJECT, "id": "p1"}, following=following), page(PROJECT))

        result = person("project", "list")

        assert len(said(result)["data"]) == 2
        assert api.heard[1].query == {"cursor": ["abc="]}

    def test_token_does_not_follow_an_address_to_another_host(self, api, person):
        elsewhere = "http://127.0.0.1:1/api/projects/?cursor=abc"
        api.on("GET", "/api/projects/", page(PROJECT, following=elsewhere), page(PROJECT))

        result = person("project", "list")

        assert result.exit_code == 0
        assert len(api.heard) == 2


class TestCreate:
    def test_project_is_created_and_scaffolded(self, table, person):
        person("project", "create", "--name", "Books", "--modules", "backend, telegram")

        created = table.asked("POST", "/api/projects/")[0]
        assert created.body == {"name": "Books", "description": "", "modules": ["backend", "telegram"]}
        assert table.asked("POST", "/api/projects/p1/scaffold/")

    def test_project_alone(self, table, person):
        person("project", "create", "--name", "Books", "--no-scaffold")

        assert not table.asked("POST", "/api/projects/p1/scaffold/")

    def test_lost_answer_is_asked_for_again_with_the_same_key(self, table, person):
        table.on("POST", "/api/tasks/", LOST, (201, TASK))

        result = person("engineering", "start", "--project", "p1", "--spec", "books")

        keys = [request.headers["Idempotency-Key"] for request in table.asked("POST", "/api/tasks/")]
        assert result.exit_code == 0
        assert len(keys) == 2
        assert len(set(keys)) == 1

    def test_two_calls_have_two_keys(self, table, person):
        person("project", "create", "--name", "Books")
        person("project", "create", "--name", "Books")

        keys = {request.headers["Idempotency-Key"] for request in table.asked("POST", "/api/projects/")}
        assert len(keys) == 2


def test_status_of_a_task_tells_its_place_in_the_line(table, person):
    place = {"position": 2, "length": 3, "estimated_wait_seconds": 90.0}
    table.on("GET", "/api/tasks/t1/", (200, TASK))
    table.on("GET", "/api/tasks/t1/card/", (200, {**CARD, "queue": place}))

    result = person("engineering", "status", "t1")

    assert said(result)["data"]["queue"] == place


class TestWait:
    def test_completed_task_exits_0(self, table, person):
        table.on("GET", "/api/tasks/t1/", (200, TASK), (200, DONE))

        result = person("engineering", "wait", "t1")

        assert (result.exit_code, said(result)["data"]["status"]) == (0, "completed")

    @pytest.mark.parametrize("code", ["checks_failed", "unavailable", "permission_denied"])
    def test_failed_task_exits_1_whatever_its_failure_is_called(self, table, person, code):
        table.on(
            "GET", "/api/tasks/t1/", (200, {**TASK, "status": "failed", "failure": {**FAILURE, "code": code}})
        )

        result = person("engineering", "wait", "t1")

        assert result.exit_code == 1
        assert said(result)["error"] == code
        assert said(result)["details"] == {"stage": "checks", "kind": "product", "retryable": False}
        assert said(result)["data"]["id"] == "t1"

    def test_cancelled_task_exits_1(self, table, person):
        table.on("GET", "/api/tasks/t1/", (200, {**TASK, "status": "cancelled"}))

        result = person("deploy", "wait", "t1")

        assert (result.exit_code, said(result)["error"]) == (1, "cancelled")

    def test_task_that_takes_longer_goes_on(self, table, person):
        table.on("GET", "/api/tasks/t1/", (200, TASK))

        result = person("engineering", "wait", "t1", "--timeout", "0")

        assert (result.exit_code, said(result)["error"]) == (1, "timeout")


class TestRollback:
    def test_the_newest_live_release_is_gone_back_from(self, table, person):
        releases = [{"id": f"r{day}", "live_at": f"2026-01-0{day}T00:00:00Z"} for day in (1, 3, 2)]
        table.on("GET", "/api/service_deployments/", page(*releases))
        table.on("POST", "/api/service_deployments/r3/rollback/", (201, {**TASK, "type": "deploy"}))

        result = person("deploy", "rollback", "--project", "p1")

        assert (result.exit_code, said(result)["data"]["id"]) == (0, "t1")

    def test_a_project_without_a_live_release_is_told_so(self, table, person):
        table.on("GET", "/api/service_deployments/", page())

        result = person("deploy", "rollback", "--project", "p1")

        assert (result.exit_code, said(result)["error"]) == (1, "not_found")

    def test_who_may_not_deploy_may_not_go_back_either(self, table, worker):
        result = worker("deploy", "rollback", "--project", "p1", allowed='["deploy.status"]')

        assert (result.exit_code, table.heard) == (3, [])


class TestRun:
    def test_sentence_becomes_one_project_and_one_task_that_deploys(self, table, person):
        result = person("run", "an inventory of books with title, author and year")

        task = table.asked("POST", "/api/tasks/")[0].body
        assert result.exit_code == 0, result.output
        assert (task["type"], task["deploy_after"]) == ("engineering", True)
        assert task["spec"] == "an inventory of books with title, author and year"
        assert said(result)["message"] == "Completed: http://127.0.0.1:21000/"
        assert said(result)["data"]["card"] == CARD

    @pytest.mark.parametrize("lost", ["/api/projects/", "/api/tasks/", "/api/tasks/t1/start/"])
    def test_lost_answer_makes_nothing_twice(self, table, person, lost):
        table.on("POST", lost, LOST, *table.answers[("POST", lost)])

        result = person("run", "books", "--no-watch")

        assert result.exit_code == 0, result.output
        for path in ("/api/projects/", "/api/tasks/"):
            keys = {request.headers["Idempotency-Key"] for request in table.asked("POST", path)}
            assert len(keys) == 1

    def test_failed_run_exits_1_with_its_failure(self, table, person):
        table.on("GET", "/api/tasks/t1/card/", (200, {**CARD, "status": "failed", "failure": FAILURE}))

        result = person("run", "books")

        assert (result.exit_code, said(result)["error"]) == (1, "checks_failed")

    def test_watch_follows_to_the_end(self, table, person):
        running = {**CARD, "status": "running", "url": ""}
        table.on("GET", "/api/tasks/t1/card/", (200, running), (200, running), (200, CARD))

        result = person("watch", "t1")

        assert result.exit_code == 0
        assert len(table.asked("GET", "/api/tasks/t1/card/")) == 3

    @pytest.mark.parametrize("command", ["engineering.status", "deploy.status", "deploy.*"])
    def test_whoever_may_see_either_kind_of_task_may_watch(self, table, worker, command):
        result = worker("watch", "t1", allowed=json.dumps([command]))

        assert result.exit_code == 0, result.output

    def test_watching_names_what_would_allow_it(self, table, worker):
        result = worker("watch", "t1", allowed='["project.*"]')

        assert (result.exit_code, table.heard) == (3, [])
        assert "engineering.status or deploy.status is not allowed" in said(result)["message"]


class TestWhoAsks:
    def test_person_shows_a_personal_token_and_a_language(self, table, person):
        person("--language", "ru", "project", "list")

        assert table.heard[0].headers["Authorization"] == "Token personal-token"
        assert table.heard[0].headers["Accept-Language"] == "ru"

    def test_workers_environment_wins_over_a_persons(self, table, worker, monkeypatch):
        monkeypatch.setenv("ORCHESTRATOR_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("ORCHESTRATOR_TOKEN", "personal-token")

        result = worker("project", "list")

        assert result.exit_code == 0
        assert table.heard[0].headers["Authorization"] == "Worker worker-token"

    def test_diagnosis_names_what_does_not_answer(self, table, person):
        table.on("GET", "/health/ready", (503, {"status": "unavailable", "broker": "unavailable"}))

        result = person("diagnose", "redis")

        assert result.exit_code == 4
        assert said(result)["details"]["broker"] == "unavailable"


def test_operator_sees_and_closes_incidents(table, person):
    incident = {"id": 5, "key": "disk_full:server:7", "status": "open", "message": "full"}
    table.on("GET", "/api/incidents/", page(incident))
    table.on("POST", "/api/incidents/5/resolve/", (200, {**incident, "status": "resolved"}))

    listed, closed = person("infra", "incidents"), person("infra", "incidents", "--resolve", "5")

    assert [row["id"] for row in said(listed)["data"]] == [5]
    assert said(closed)["data"]["status"] == "resolved"
