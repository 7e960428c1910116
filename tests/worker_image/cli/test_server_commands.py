"""What operators have done to servers from the command line."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from worker_image.cli.server_commands import _drawer

pytestmark = pytest.mark.unit

ATTEMPT = {
    "id": "a1",
    "server_id": 7,
    "kind": "setup",
    "status": "pending",
    "attempt": 1,
    "current_task": "",
    "recap": None,
    "failure": None,
    "created_at": "2026-11-23T09:00:00Z",
}
LOSSES = {
    "server_id": 7,
    "name": "berlin",
    "host": "203.0.113.10",
    "provider": "time4vps",
    "provider_id": "110",
    "projects": [{"id": "p1", "slug": "shop"}],
    "refusal": "",
}


def said(result: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def page(*rows: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"next": None, "previous": None, "results": list(rows)}


@pytest.mark.parametrize(
    ("command", "method", "address", "body"),
    [
        (("provision", "7"), "POST", "provision", {"replace": False}),
        (("provision", "7", "--replace"), "POST", "provision", {"replace": True}),
        (("recover", "7"), "POST", "recover", {}),
        (("cancel", "7"), "POST", "cancel", {}),
        (("maintenance", "7", "on"), "POST", "maintenance", {}),
        (("maintenance", "7", "off"), "DELETE", "maintenance", None),
    ],
)
def test_each_command_asks_for_its_deed(api, person, command, method, address, body):
    api.on(method, f"/api/servers/7/{address}/", (202, ATTEMPT))
    api.on("GET", "/api/servers/7/", (200, {"id": 7, "name": "berlin", "status": "maintenance"}))

    result = person("infra", "servers", *command)

    assert result.exit_code == 0, result.output
    assert [heard.body for heard in api.asked(method, f"/api/servers/7/{address}/")] == [body]


@pytest.mark.parametrize(("typed", "code", "times"), [("berlin", 0, 1), ("bonn", 1, 0), ("", 1, 0)])
def test_a_server_is_given_up_by_its_name(api, person, typed, code, times):
    api.on("GET", "/api/servers/7/", (200, {"id": 7, "name": "berlin", "status": "missing"}))
    api.on(
        "POST",
        "/api/servers/7/decommission/",
        (200, {"id": 7, "name": "berlin", "status": "decommissioned"}),
    )

    result = person("infra", "servers", "decommission", "7", input=f"{typed}\n")

    assert (result.exit_code, len(api.asked("POST", "/api/servers/7/decommission/"))) == (code, times)


def test_a_word_that_is_neither_on_nor_off_is_no_command(api, person):
    result = person("infra", "servers", "maintenance", "7", "maybe")

    assert (result.exit_code, api.heard) == (2, [])


def test_the_typed_name_and_what_was_shown_are_what_erases_a_server(api, person):
    api.on("GET", "/api/servers/7/reinstall/", (200, LOSSES))
    api.on("POST", "/api/servers/7/reinstall/", (202, ATTEMPT))

    result = person("infra", "servers", "reinstall", "7", input="berlin\n")

    (asked,) = api.asked("POST", "/api/servers/7/reinstall/")
    assert result.exit_code == 0, result.output
    assert asked.body == {"name": "berlin", "projects": ["p1"], "system": ""}
    assert "Idempotency-Key" in asked.headers
    assert "will be ERASED" in result.stderr
    assert "shop" in result.stderr


def test_nothing_typed_is_no_name(api, person):
    api.on("GET", "/api/servers/7/reinstall/", (200, LOSSES))
    refusal = {"error": "invalid", "message": "another name", "details": {"name": "is not the server's"}}
    api.on("POST", "/api/servers/7/reinstall/", (422, refusal))

    result = person("infra", "servers", "reinstall", "7", input="")

    assert result.exit_code == 1
    assert api.asked("POST", "/api/servers/7/reinstall/")[0].body["name"] == ""


def test_a_server_that_may_not_be_erased_is_not_asked_about(api, person):
    api.on("GET", "/api/servers/7/reinstall/", (200, {**LOSSES, "refusal": "not named (not_managed)"}))

    result = person("infra", "servers", "reinstall", "7", input="berlin\n")

    assert (result.exit_code, said(result)["message"]) == (1, "not named (not_managed)")
    assert len(api.heard) == 1


def test_an_agent_has_no_say_in_it(api, worker):
    refusal = {"error": "permission_denied", "message": "for operators", "details": {}}
    api.on("GET", "/api/servers/7/reinstall/", (403, refusal))

    result = worker("infra", "servers", "reinstall", "7")

    assert (result.exit_code, len(api.heard)) == (3, 1)


def test_the_newest_attempts_are_listed(api, person):
    api.on("GET", "/api/provisionings/", page(ATTEMPT))

    result = person("infra", "provisionings", "--server", "7")

    assert [row["id"] for row in said(result)["data"]] == ["a1"]
    assert api.heard[0].query == {"server_id": ["7"]}


def test_an_attempt_is_followed_to_its_end(api, person, monkeypatch):
    monkeypatch.setattr("worker_image.cli.server_commands._POLL_SECONDS", 0)
    running = {**ATTEMPT, "status": "running", "current_task": "docker : Install"}
    failure = {
        "code": "task_failed",
        "message": "docker : Install: no",
        "kind": "provider",
        "retryable": True,
    }
    failed = {**ATTEMPT, "status": "failed", "failure": failure}
    api.on("GET", "/api/provisionings/a1/", (200, running), (200, running), (200, failed))

    result = person("infra", "provisionings", "a1", "--watch")

    assert (result.exit_code, said(result)["error"], said(result)["data"]["id"]) == (1, "task_failed", "a1")
    assert len(api.heard) == 3


def test_the_recap_is_drawn_with_what_was_done():
    tasks = [{"name": "common : Look", "outcome": "ok"}, {"name": "docker : Install", "outcome": "changed"}]
    recap = {"counts": {"ok": 9, "changed": 1}, "tasks": tasks, "left_out": ["firewall"]}
    paper = io.StringIO()

    _drawer({**ATTEMPT, "status": "succeeded", "recap": recap})(Console(file=paper, width=100))

    drawn = paper.getvalue()
    assert "tasks:    9 ok, 1 changed" in drawn
    assert "left out: firewall" in drawn
    assert "docker : Install" in drawn
    assert "common : Look" not in drawn
