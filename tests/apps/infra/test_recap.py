"""What is kept of a playbook's events: readable, bounded, and without secrets."""

from typing import Any

import pytest

from apps.infra.recap import Recap, masked

pytestmark = pytest.mark.unit

SECRET = "correct horse"


def event(kind: str, task: str = "Install", role: str = "docker", **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"task": task, "role": role, "host": "server", **data}}


def fed(*events: dict[str, Any]) -> Recap:
    recap = Recap([SECRET])
    for one in events:
        recap.feed(one)
    return recap


def test_tasks_are_counted_by_what_they_did() -> None:
    recap = fed(
        event("runner_on_ok", res={"changed": True}),
        event("runner_on_ok", "Look", res={"changed": False}),
        event("runner_on_skipped", "Leave", res={}),
        event("runner_on_failed", "Try", res={"msg": "no"}, ignore_errors=True),
        event("verbose"),
    )

    record = recap.as_json()
    assert record["counts"] == {"ok": 2, "changed": 1, "failed": 0, "skipped": 1, "unreachable": 0}
    assert record["tasks"][0] == {"name": "docker : Install", "outcome": "changed"}
    assert recap.failure is None


def test_the_failing_task_is_named_with_its_stderr_and_no_secret() -> None:
    recap = fed(event("runner_on_failed", res={"msg": f"rc 1 {SECRET}", "stderr": f"E: no {SECRET}"}))

    assert recap.failure is not None
    assert recap.failure.task == "docker : Install"
    assert (recap.failure.code, recap.failure.stderr) == ("task_failed", "E: no ***")
    assert SECRET not in f"{recap.failure} {recap.as_json()}"


def test_a_task_of_ours_says_itself_which_failure_it_is() -> None:
    recap = fed(event("runner_on_failed", res={"msg": "[wrong_system] Alpine is not supported."}))

    assert recap.failure is not None
    assert (recap.failure.code, recap.failure.message) == ("wrong_system", "Alpine is not supported.")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "host_key_changed"),
        ("No ED25519 host key is known. Host key verification failed.", "host_key_changed"),
        ("root@203.0.113.5: Permission denied (publickey).", "login_refused"),
        ("connect to host 203.0.113.5 port 22: Connection timed out", "unreachable"),
    ],
)
def test_why_a_server_was_out_of_reach_is_told_apart(said: str, code: str) -> None:
    recap = fed(event("runner_on_unreachable", res={"msg": said}))

    assert recap.was_unreachable
    assert recap.failure is not None
    assert recap.failure.code == code


def test_what_the_playbook_reports_and_left_out_is_kept() -> None:
    data = {"left_out": ["firewall", "docker"], "system": "Debian 12"}

    recap = fed(event("playbook_on_stats", processed={"server": 1}, artifact_data=data))

    assert recap.is_complete
    assert recap.as_json()["left_out"] == ["docker", "firewall"]
    assert recap.facts["system"] == "Debian 12"


def test_a_run_that_met_no_server_is_not_complete() -> None:
    recap = fed(event("playbook_on_stats", processed={}))

    assert not recap.is_complete


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA",
        SECRET,
    ],
)
def test_keys_and_secrets_are_masked(text: str) -> None:
    assert masked(f"x {text}", [SECRET]) == "x ***"
