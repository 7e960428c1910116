"""Bots and workers: no port, and well only when what can be known of them is known."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID

import pytest

from apps.infra import reconciler
from apps.infra.answering import Smoke
from apps.infra.models import PortAllocation, ServiceDeployment
from tests.fakes_target import FakeTarget

pytestmark = [pytest.mark.service, pytest.mark.django_db]

TOKEN = "123456789:" + "A" * 35


@pytest.fixture
def telegram() -> Iterator[str]:
    """A Bot API that knows one token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.path == f"/bot{TOKEN}/getMe"
            answer = {"ok": True, "result": {"username": "books_bot"}} if is_known else {"ok": False}
            body = json.dumps(answer).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def drive(deployment_id: UUID, target: FakeTarget, telegram: str, *, steps: int = 20) -> ServiceDeployment:
    smoke = Smoke(ask_seconds=0.1, stable_seconds=0.2, telegram_url=telegram)
    for _ in range(steps):
        reconciler.reconcile_deployment(deployment_id=deployment_id, target=target, smoke=smoke)
    return ServiceDeployment.objects.get(pk=deployment_id)


def bot(ask: Callable[..., UUID], token: str = TOKEN) -> UUID:
    return ask(
        kind="bot",
        health_path="",
        run_command="sleep 60",
        environment={"BOT_TOKEN": token},
        secrets=(token,),
        token_variable="BOT_TOKEN",
    )


def test_a_bot_is_live_when_telegram_knows_it_and_it_keeps_running(ask, target, telegram) -> None:
    found = drive(bot(ask), target, telegram)

    assert (found.status, found.url) == ("live", "")
    smoke = (found.evidence or {})["smoke"]
    assert (smoke["bot"], smoke["status"]) == ("books_bot", 200)
    assert smoke["stable_seconds"] >= 0.2
    assert TOKEN not in str(found.evidence)
    assert not PortAllocation.objects.exists()


def test_a_token_that_telegram_does_not_know_is_the_persons_failure(ask, target, telegram) -> None:
    found = drive(bot(ask, "987654321:" + "B" * 35), target, telegram)

    assert found.status == "failed"
    assert (found.failure or {})["kind"] == "user"
    assert (found.failure or {})["code"] == "bot_token_refused"


def test_telegram_out_of_reach_is_never_a_pass_nor_the_bots_failure(ask, target) -> None:
    deployment_id = bot(ask)
    found = drive(deployment_id, target, "http://127.0.0.1:1", steps=4)
    assert found.status == "starting"
    ServiceDeployment.objects.filter(pk=deployment_id).update(deadline_at="2026-01-01T00:00:00Z")

    found = drive(deployment_id, target, "http://127.0.0.1:1", steps=1)

    assert (found.status, (found.failure or {})["code"]) == ("crashed", "smoke_impossible")
    assert TOKEN not in str(found.failure)


def test_a_worker_that_ends_before_its_window_is_over_fails_with_its_exit_code(ask, target) -> None:
    deployment_id = ask(kind="worker", health_path="", run_command="exit 3")

    found = drive(deployment_id, target, "")

    assert (found.status, (found.failure or {})["code"]) == ("failed", "service_exited")
    assert "exit code 3" in (found.failure or {})["message"]


def test_a_worker_that_keeps_running_is_live_without_an_address(ask, target) -> None:
    found = drive(ask(kind="worker", health_path="", run_command="sleep 60"), target, "")

    assert (found.status, found.url) == ("live", "")


def test_values_are_completed_where_the_release_starts(ask, target) -> None:
    """An address names the port that people know, a port alone the one to listen at."""
    pieces = [["text", "http://"], ["fact", "host"], ["text", ":"], ["fact", "port"], ["text", "/"]]
    deployment_id = ask(
        environment={
            "PUBLIC_URL": pieces,
            "LISTEN": [["fact", "port"]],
            "DATABASE": [["text", "db:"], ["fact", "data"], ["text", "/x"]],
        }
    )
    own = PortAllocation.objects.get(deployment_id=deployment_id).port
    kept = PortAllocation.objects.get(deployment=None).port

    job = reconciler.releases.service_job(ServiceDeployment.objects.get(), port=own, known_at=kept)

    assert job.environment["PUBLIC_URL"] == f"http://127.0.0.1:{kept}/"
    assert job.environment["LISTEN"] == job.environment["PORT"] == str(own)
    assert job.data_variables == {"DATABASE": ("db:", "/x")}
