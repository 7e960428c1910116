"""With a Docker engine: a project is built, comes up as on a server, survives a bad release, goes down."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import docker
import httpx
import pytest

from apps.projects import templating
from apps.projects.templating import TemplateAnswers, known_modules
from tests.docker_engine import client
from tests.template import docker_stage, foreign
from tests.template.docker_stage import GitHost, Pipeline, Telegram
from tests.template.projects import COMBINATIONS
from tests.template.service import free_port

pytestmark = [pytest.mark.integration, pytest.mark.docker, pytest.mark.timeout(1800)]

CHOICES = (known_modules(), ("frontend",))
if os.environ.get("TEMPLATE_MATRIX") == "all":
    CHOICES = COMBINATIONS


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    engine = client()
    yield engine
    engine.close()


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(mkdtemp(dir="/tmp", prefix="deploy-"))
    yield directory
    rmtree(directory, ignore_errors=True)


class Stage:
    """A project, its pipeline, and what became of it on the engine."""

    def __init__(self, place: Path, engine: docker.DockerClient, modules: tuple[str, ...]) -> None:
        self.slug = f"t-{token_hex(4)}"
        self.engine, self.host, self.telegram = engine, GitHost(), Telegram()
        self.port = free_port()
        self.project = place / "project"
        answers = TemplateAnswers(
            project_name="Rendered", project_slug=self.slug, project_description="", modules=modules
        )
        templating.render(self.project, answers=answers)
        foreign.git(self.project, "init", "-q", "-b", "main")
        if "telegram" in modules:
            self._speak_to_our_telegram()
        self.images = docker_stage.base_images()
        self.pipeline = Pipeline(self.project, place, host=self.host, images=self.images, port=self.port)

    def commit(self, changes: dict[str, str], tag: str) -> str:
        foreign.commit(self.project, changes, tag=tag)
        return foreign.git(self.project, "rev-parse", "HEAD")

    def _speak_to_our_telegram(self) -> None:
        gateway = self.engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
        path = self.project / "project.yaml"
        entry = (
            "environment:\n  - key: TELEGRAM_API_URL\n    source: literal\n"
            f'    value: "http://{gateway}:{self.telegram.server_address[1]}"\n    consumers: [telegram]\n'
        )
        path.write_text(path.read_text().replace("environment:\n", entry, 1))

    def containers(self) -> list[Any]:
        return docker_stage.containers_of(self.engine, self.slug)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=10)

    def close(self) -> None:
        self.host.shutdown()
        self.host.server_close()
        self.telegram.shutdown()
        self.telegram.server_close()
        docker_stage.remove_project(self.engine, self.slug)


@pytest.fixture
def stages(engine: docker.DockerClient, place: Path) -> Iterator[Any]:
    docker_stage.compose()
    made: list[Stage] = []

    def make(modules: tuple[str, ...]) -> Stage:
        made.append(Stage(place, engine, modules))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.mark.parametrize("modules", CHOICES, ids="-".join)
def test_project_is_deployed_answers_and_goes_down(stages: Any, modules: tuple[str, ...]) -> None:
    stage = stages(modules)
    sha = stage.commit({}, "first")

    done = stage.pipeline.deploy(sha)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"live: {sha}" in done.stdout
    expected = {name for name in modules if name != "frontend" or "backend" not in modules}
    expected |= {"db"} if "backend" in modules else set()
    running = {container.labels["com.docker.compose.service"]: container for container in stage.containers()}
    assert set(running) == expected
    assert {container.attrs["State"]["Health"]["Status"] for container in running.values()} == {"healthy"}
    assert all(container.attrs["HostConfig"]["ReadonlyRootfs"] for container in running.values())
    assert {container.attrs["Config"]["User"] for container in running.values()} <= {"10001:10001", "999:999"}
    if {"backend", "frontend"} & set(modules):
        assert stage.get("/health").json()["status"] == "ok"
    opened, _, ended = stage.host.posted
    assert set(opened["payload"]["images"]) == expected - {"db"}
    assert ended["state"] == "success"
    directory = stage.pipeline.server / stage.slug / "current"
    assert directory.resolve().name == sha
    files = ["-f", "compose.yaml", "-f", "compose.prod.yaml", "-f", "compose.values.json"]
    command = [*docker_stage.compose().split(), "-p", stage.slug, *files, "down", "--volumes"]
    environment = {**os.environ, **stage.images}
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    assert stage.containers() == []


def test_bad_release_leaves_the_one_before_live_and_a_rollback_returns(stages: Any) -> None:
    stage = stages(("frontend",))
    first = stage.commit({}, "first")
    assert stage.pipeline.deploy(first).returncode == 0
    second = stage.commit({"frontend/static/second.txt": "second"}, "second")
    assert stage.pipeline.deploy(second).returncode == 0
    assert stage.get("/second.txt").text == "second"
    bad = stage.commit({"frontend/server.py": "raise RuntimeError('broken on purpose')\n"}, "bad")

    failed = stage.pipeline.deploy(bad)

    assert failed.returncode == 1
    assert "broken on purpose" in failed.stderr
    assert f"live again: {second}" in failed.stderr
    assert stage.get("/second.txt").text == "second"
    assert stage.host.posted[-1]["state"] == "failure"
    foreign.git(stage.project, "checkout", "-q", first)
    back = stage.pipeline.activate(first)
    assert back.returncode == 0, back.stderr
    assert stage.get("/second.txt").status_code == 404
    assert stage.host.posted[-1]["state"] == "success"
    missing = stage.pipeline.activate("e" * 40)
    assert missing.returncode == 1
    assert "is not on the server" in missing.stderr
