"""The whole way of a project on GitHub, with the template's own workflows: sentence, checks, merge, address.

The control plane dispatches `main.yml` of the project; the double's runner does what its steps say, with a
real Docker engine, over a real SSH connection, to a server that is this machine.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.embedded.processes import free_port
from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests import docker_engine
from tests.data.sentences import SENTENCES
from tests.journeys.github_world import GitHubWorld, running_on_github
from tests.ssh_server import SshServer, ssh_server
from tests.template import docker_stage
from worker_image.cli.task_commands import begin

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(1800)]

BOOKS, _, LINKS = SENTENCES[:3]
SERVER = """
import os
from apps.infra.servers import ServerWords, save_server
words = ServerWords(name="berlin", host="127.0.0.1", ssh_port={ssh}, ssh_user="{user}", host_key="{host_key}",
    port_range_start={web}, port_range_end={web}, identity=os.environ["IDENTITY"])
save_server(server_id=None, words=words)
"""


@dataclass
class Site:
    """A project, the system that works on it, its GitHub, and the server that it lives on."""

    hosted: GitHubWorld
    server: SshServer
    place: Path
    port: int
    project: dict[str, Any]

    def work(self, sentence: str) -> dict[str, Any]:
        """Let a sentence become a release; returns the card."""
        api, project_id = self.hosted.world.api, self.project["id"]
        task = begin(api, project_id=project_id, type="engineering", spec=sentence, deploy_after=True)
        card = self.hosted.world.wait(task["id"], seconds=600)
        return {**card, "kinds": self.hosted.world.kinds(task["id"])}

    def releases(self) -> list[dict[str, Any]]:
        path = f"/api/service_deployments/?project_id={self.project['id']}"
        return sorted(self.hosted.world.api.list(path), key=lambda release: str(release["created_at"]))

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, trust_env=False, timeout=20, **options)

    @property
    def current(self) -> str:
        return (self.place / "projects" / self.project["slug"] / "current").resolve().name


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    docker_stage.compose()
    if shutil.which("ssh") is None:
        pytest.skip("there is no ssh on this machine")
    return docker_stage.base_images()


@pytest.fixture(scope="module")
def site(images: dict[str, str]) -> Iterator[Site]:
    place = Path(tempfile.mkdtemp(prefix="server-", dir="/tmp"))
    account = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "POSTGRES_IMAGE": images["POSTGRES_IMAGE"],
        "DEPLOY_SETTLE_SECONDS": "2",
    }
    engine = docker_engine.client()
    with ssh_server(account) as server, running_on_github() as hosted:
        hosted.github.stage.runner_environment["PYTHON_IMAGE"] = images["PYTHON_IMAGE"]
        port = free_port()
        words = SERVER.format(ssh=server.port, user=server.user, host_key=server.host_key, web=port)
        environment = {**hosted.world.stack.child_env(), "IDENTITY": server.identity}
        run_module("manage", "shell", "--command", words, env=environment, root=ROOT)
        project = hosted.start_project("Library")
        yield Site(hosted, server, place, port, project)
        docker_stage.remove_project(engine, project["slug"])
    engine.close()
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def first(site: Site) -> dict[str, Any]:
    """The first sentence, whose first commit fails at the host alone."""
    return site.work(f"{BOOKS.text}\nrehearsal: break-host-checks-once")


@pytest.fixture(scope="module")
def second(site: Site, first: dict[str, Any]) -> dict[str, Any]:
    site.ask("POST", BOOKS.path, json=BOOKS.valid).raise_for_status()
    return site.work(LINKS.text)


def test_a_sentence_becomes_an_address_by_way_of_red_and_green_checks(
    site: Site, first: dict[str, Any]
) -> None:
    assert first["status"] == "completed", first["failure"]

    way = ["host_checks_failed", "rework", "host_checks_passed", "merged"]
    way += ["workflow_started", "workflow_finished", "smoke_passed", "deployed"]
    assert [kind for kind in first["kinds"] if kind in way] == way
    assert first["url"].rstrip("/") == f"http://127.0.0.1:{site.port}"
    assert site.ask("GET", "/health").json()["status"] == "ok"
    assert site.ask("GET", BOOKS.path).status_code == 200


def test_the_release_is_recorded_as_it_was_built(site: Site, first: dict[str, Any]) -> None:
    release = site.releases()[0]
    repository = site.hosted.repository(site.project["id"])

    (run,) = [run for run in repository.runs if run.path.endswith("main.yml")]

    assert release["commit_sha"] == repository.pulls[0].merge_sha == run.sha
    assert set(release["images"]) == {"backend"}
    assert release["images"]["backend"].startswith("sha256:")
    assert release["evidence"]["smoke"]["status"] == 200
    assert site.server.identity.splitlines()[1] not in str(run)


def test_a_second_task_is_merged_and_replaces_the_release_and_keeps_its_data(
    site: Site, second: dict[str, Any]
) -> None:
    assert second["status"] == "completed", second["failure"]

    kept = site.ask("GET", BOOKS.path).text

    assert site.current == site.releases()[-1]["commit_sha"]
    assert site.ask("GET", LINKS.path).status_code == 200
    assert BOOKS.valid["title"] in kept


def test_going_back_builds_nothing_and_makes_the_first_release_live(
    site: Site, second: dict[str, Any]
) -> None:
    site.server.commands.clear()

    code, answer = site.hosted.world.command("deploy", "rollback", "--project", site.project["id"])
    card = site.hosted.world.wait(answer["data"]["id"], seconds=300)

    assert (code, card["status"]) == (0, "completed"), card["failure"]
    assert site.current == site.releases()[0]["commit_sha"]
    assert site.ask("GET", LINKS.path).status_code == 404
    assert BOOKS.valid["title"] in site.ask("GET", BOOKS.path).text
    assert not [command for command in site.server.commands if "docker load" in command]
