"""A host that says what the test wrote down, for what the double cannot be made to do."""

from pathlib import Path
from typing import Any

import fakeredis

from apps.projects.forge import base
from apps.projects.forge.github.adapter import GitHubForge
from apps.projects.forge.github.client import Client
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.limits import Limits
from apps.projects.forge.github.remembered import RememberedAnswers
from apps.projects.forge.github.tokens import StaticToken
from apps.projects.forge.github.transport import Answer, Request

REPOSITORY = base.Repository(id="77", name="book-list", default_branch="main", url="https://x.example/r")
CONFIG = GitHubConfig(organisation="book-club", app_id="1", api_url="https://host.example/api/v3")
SHA = "a" * 40


def said(status: int = 200, data: Any = None, **headers: str) -> Answer:
    """An answer; headers are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=named, data=data)


class ScriptedTransport:
    """Answers by method and path; a list of answers is used up one by one, the last one stays."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = {key: list(said) if isinstance(said, list) else said for key, said in answers.items()}
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        path = request.path.removeprefix("/repos/book-club/book-list")
        answer = self.answers[f"{request.method} {path}"]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer


def client_of(transport: Any, *, tokens: Any = None) -> Client:
    redis = fakeredis.FakeRedis()
    return Client(
        config=CONFIG,
        transport=transport,
        limits=Limits(redis, name="n", max_concurrent=100, hourly_budget=1_000),
        tokens=tokens or StaticToken("t"),
        remembered=RememberedAnswers(redis, name="n"),
    )


def forge_of(answers: dict[str, Any], **client: Any) -> tuple[GitHubForge, ScriptedTransport]:
    """The adapter with a scripted host; keys are ``GET /path``, the repository's own path left out."""
    transport = ScriptedTransport(answers)
    return GitHubForge(client_of(transport, **client), mirrors=Path("/nonexistent")), transport
