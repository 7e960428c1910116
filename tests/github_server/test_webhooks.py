"""Webhooks: signed, and as unreliable as a test wants them."""

import hashlib
import hmac
from pathlib import Path

import pytest

from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub

pytestmark = pytest.mark.service


class Receiver:
    """Keeps what came."""

    def __init__(self, github: GitHub) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        github.webhooks.receiver = self

    def __call__(self, headers: dict[str, str], body: bytes) -> int:
        self.came.append((headers, body))
        return 202

    @property
    def events(self) -> list[str]:
        return [headers["X-GitHub-Event"] for headers, _ in self.came]


def is_signed(github: GitHub, headers: dict[str, str], body: bytes) -> bool:
    expected = hmac.new(github.webhooks.secret.encode(), body, hashlib.sha256).hexdigest()
    return headers["X-Hub-Signature-256"] == f"sha256={expected}"


def test_events_of_a_task_are_told_with_a_signature(github: GitHub, visitor: Visitor, tmp_path: Path) -> None:
    receiver = Receiver(github)
    text = "on: [pull_request]\njobs: {check: {runs-on: x, steps: [{run: 'true'}]}}"
    visitor.start(tmp_path / "books", "books", {".github/workflows/ci.yml": text})
    visitor.commit(tmp_path / "books", {"more": ""}, push="task")

    visitor.call("POST", "/repos/book-club/books/pulls", {"title": "T", "head": "task", "base": "main"})

    repository = github.find("book-club", "books")
    assert repository is not None
    github.runner.wait(repository.runs[0])
    github.webhooks.wait()
    assert {"push", "pull_request", "workflow_run", "workflow_job", "check_run"} <= set(receiver.events)
    assert all(is_signed(github, headers, body) for headers, body in receiver.came)


def test_deliveries_are_lost_doubled_repeated_and_forged(github: GitHub, visitor: Visitor) -> None:
    receiver, hooks = Receiver(github), github.webhooks
    repository = github.create_repository("books")

    hooks.is_lost = True
    hooks.send("push", {"ref": "lost"}, repository)
    hooks.is_lost, hooks.is_doubled = False, True
    hooks.send("push", {"ref": "doubled"}, repository)
    hooks.wait()
    hooks.is_doubled, hooks.is_repeated = False, True
    hooks.send("push", {"ref": "repeated"}, repository)
    hooks.wait()
    hooks.is_repeated, hooks.is_forged = False, True
    hooks.send("push", {"ref": "forged"}, repository)
    hooks.wait()

    ids = [headers["X-GitHub-Delivery"] for headers, _ in receiver.came]
    assert [delivery.status for delivery in hooks.deliveries] == [None, 202, 202, 202, 202, 202]
    assert ids[0] == ids[1]
    assert ids[2] != ids[3]
    assert receiver.came[2][1] == receiver.came[3][1]
    assert [is_signed(github, *each) for each in receiver.came] == [True] * 4 + [False]
