"""The workflows of a project do their work on a runner: checks, a deployment, a bad one, a rollback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.projects.templating import TemplateAnswers
from tests.github_server.dispatching import BOOKS, dispatch, log_of
from tests.github_server.server import github_server
from tests.github_server.state import Run
from tests.github_server.visitor import install
from tests.github_server.world import GitHub
from tests.template import docker_stage, fake_docker
from tests.template.projects import copy_rendered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SECRETS = {
    "DEPLOY_HOST": "198.51.100.7",
    "DEPLOY_PORT": "2222",
    "DEPLOY_USER": "deploy",
    "DEPLOY_SSH_KEY": "-----BEGIN KEY-----\nsecret words\n-----END KEY-----",
    "DEPLOY_HOST_KEY": "ssh-ed25519 AAAAC3Nz",
}


@pytest.fixture
def github() -> Iterator[GitHub]:
    with github_server() as github:
        yield github


class Delivery:
    """A project on the double, and a server that its runner reaches."""

    def __init__(self, github: GitHub, place: Path, *, is_checked: bool = False) -> None:
        self.github, self.visitor = github, install(github)
        self.memory, self.server, self.checkout = place / "memory", place / "server", place / "books"
        self.memory.mkdir()
        tools = place / "tools"
        tools.mkdir()
        shutil.copy(str(fake_docker.__file__), tools / "docker")
        (tools / "ssh").write_text(docker_stage.SSH)
        for tool in tools.iterdir():
            tool.chmod(0o755)
        uv = Path(sys.executable).parent / "uv"
        cache = subprocess.run(
            [uv, "cache", "dir"], capture_output=True, text=True, check=True
        ).stdout.strip()
        keep = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
        github.stage.runner_environment = {
            "UV_CACHE_DIR": cache,
            **keep,
            "PATH": f"{tools}:{uv.parent}:/usr/local/bin:/usr/bin:/bin",
            "FAKE_DOCKER": str(self.memory),
            "DEPLOY_ROOT": str(self.server),
            "DEPLOY_HEALTH_SECONDS": "3",
            "DEPLOY_SETTLE_SECONDS": "0",
        }
        if not is_checked:
            # What the checks do is a test of its own; here they would only run beside.
            github.stage.conclude("success", workflow="ci.yml", runs=9)
        self.first = self._start(place)

    def _start(self, place: Path) -> str:
        answers = TemplateAnswers(
            project_name="Books", project_slug="books", project_description="", modules=("frontend",)
        )
        rendered = copy_rendered(answers, place / "rendered")
        files = {
            str(path.relative_to(rendered)): path.read_text(encoding="utf-8")
            for path in rendered.rglob("*")
            if path.is_file()
        }
        files["project.yaml"] = files["project.yaml"].replace("production", "staging")
        sha = self.visitor.start(self.checkout, "books", files)
        self.repository.secrets.update(SECRETS)
        return sha

    @property
    def repository(self) -> Any:
        found = self.github.find("book-club", "books")
        assert found is not None
        return found

    def run(self, **inputs: str) -> Run:
        return dispatch(self.github, self.visitor, ports='{"WEB_PORT": 8123}', **inputs)

    def log(self, run: Run) -> str:
        return log_of(self.visitor, run.jobs[0])

    def live(self) -> str:
        return (self.server / "books" / "current").resolve().name

    def last_status(self) -> tuple[dict[str, Any], dict[str, Any]]:
        deployment = self.visitor.call("GET", f"{BOOKS}/deployments").json()[0]
        statuses = self.visitor.call("GET", f"{BOOKS}/deployments/{deployment['id']}/statuses").json()
        return deployment, statuses[0]


@pytest.fixture
def delivery(github: GitHub, tmp_path: Path) -> Delivery:
    return Delivery(github, tmp_path)


def test_every_push_is_checked_under_the_name_of_the_required_check(github: GitHub, tmp_path: Path) -> None:
    delivery = Delivery(github, tmp_path, is_checked=True)

    (run,) = [run for run in delivery.repository.runs if run.sha == delivery.first]
    delivery.github.runner.wait(run, 600)

    checks = delivery.visitor.call("GET", f"{BOOKS}/commits/{delivery.first}/check-runs").json()

    assert run.conclusion == "success", delivery.log(run)
    assert [(check["name"], check["conclusion"]) for check in checks["check_runs"]] == [("check", "success")]


def test_commit_is_deployed_and_reported(delivery: Delivery) -> None:
    run = delivery.run(sha=delivery.first)

    log = delivery.log(run)
    assert run.conclusion == "success", log
    assert delivery.live() == delivery.first
    assert (delivery.memory / "built").read_text() == f"books-frontend:{delivery.first}\n"
    deployment, status = delivery.last_status()
    payload = deployment["payload"]
    payload = json.loads(payload) if isinstance(payload, str) else payload
    assert payload["correlation"] == "c-1"
    assert deployment["environment"] == status["environment"] == "staging"
    assert set(payload["images"]) == {"frontend"}
    assert deployment["sha"] == delivery.first
    assert (status["state"], status["environment_url"]) == ("success", "http://198.51.100.7:8123")
    assert "secret words" not in log
    release = delivery.server / "books" / "releases" / delivery.first
    assert (release / ".env").stat().st_mode & 0o077 == 0


def test_bad_release_is_reported_and_the_one_before_stays_live(delivery: Delivery) -> None:
    assert delivery.run(sha=delivery.first).conclusion == "success"
    second = delivery.visitor.commit(delivery.checkout, {"note.txt": "x"}, push="main")
    (delivery.memory / "broken").write_text(second)

    run = delivery.run(sha=second)

    log = delivery.log(run)
    assert run.conclusion == "failure"
    assert "broken on purpose" in log
    assert f"live again: {delivery.first}" in log
    assert delivery.live() == delivery.first
    assert (delivery.memory / "up").read_text() == delivery.first
    assert delivery.last_status()[1]["state"] == "failure"


def test_rollback_makes_an_earlier_release_live_and_builds_nothing(delivery: Delivery) -> None:
    assert delivery.run(sha=delivery.first).conclusion == "success"
    second = delivery.visitor.commit(delivery.checkout, {"note.txt": "x"}, push="main")
    assert delivery.run(sha=second).conclusion == "success"
    built = (delivery.memory / "built").read_text()

    run = delivery.run(sha=delivery.first, rollback="true")

    assert run.conclusion == "success", delivery.log(run)
    assert delivery.live() == delivery.first
    assert (delivery.memory / "built").read_text() == built
    deployment, status = delivery.last_status()
    assert (deployment["sha"], status["state"]) == (delivery.first, "success")


def test_same_commit_with_another_environment_goes_back_to_the_old_one(delivery: Delivery) -> None:
    assert delivery.run(sha=delivery.first).conclusion == "success"
    (delivery.memory / "broken").write_text(delivery.first)
    release = delivery.server / "books" / "releases" / delivery.first
    before = (release / ".env").read_text()

    run = dispatch(delivery.github, delivery.visitor, ports='{"WEB_PORT": 9999}', sha=delivery.first)

    assert run.conclusion == "failure"
    assert (release / ".env").read_text() == before


def test_old_releases_are_pruned_to_three(delivery: Delivery) -> None:
    shas = [delivery.first]
    shas += [
        delivery.visitor.commit(delivery.checkout, {"note.txt": str(number)}, push="main")
        for number in range(3)
    ]

    conclusions = [delivery.run(sha=sha).conclusion for sha in shas]

    assert conclusions == ["success"] * 4
    kept = {path.name for path in (delivery.server / "books" / "releases").iterdir()}
    assert kept == set(shas[1:])


@pytest.mark.parametrize(
    ("changes", "inputs", "words"),
    [
        ({}, {"sha": "$(touch owned)"}, "sha is not a commit"),
        ({}, {"sha": "e" * 40, "rollback": "true"}, "exit code"),
        ({"DEPLOY_SSH_KEY": ""}, {}, "DEPLOY_SSH_KEY is missing"),
        ({"DEPLOY_HOST_KEY": "no key"}, {}, "DEPLOY_HOST_KEY holds no public key"),
    ],
    ids=["a script as commit", "unknown commit", "no key", "no key of the host"],
)
def test_deployment_that_cannot_be_says_why(
    delivery: Delivery, changes: dict[str, str], inputs: dict[str, str], words: str
) -> None:
    delivery.repository.secrets.update(changes)

    run = delivery.run(**inputs)

    assert run.conclusion == "failure"
    assert words in delivery.log(run)
    assert not delivery.server.exists()


def test_port_that_was_not_allocated_is_named(delivery: Delivery) -> None:
    run = dispatch(delivery.github, delivery.visitor, sha=delivery.first, ports="{}")

    assert run.conclusion == "failure"
    assert "WEB_PORT: there is no value for it" in delivery.log(run)
