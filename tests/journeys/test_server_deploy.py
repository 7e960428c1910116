"""A project of our own git host on a server: sentence, address, change at the same address, the end.

Nobody outside takes part: no workflow, no registry. The server is this machine, by SSH, for an account that
may use its Docker engine and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from orchestrator.embedded.processes import free_port
from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests import docker_engine
from tests.data.sentences import SENTENCES
from tests.journeys.world import World, eventually, running
from tests.server_machine import Machine, machine
from tests.template import docker_stage

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(1800)]

BOOKS, _, LINKS = SENTENCES[:3]
SERVER = """
from apps.infra.servers import ServerWords, save_server
words = ServerWords(name="berlin", host="127.0.0.1", ssh_port={ssh}, ssh_user="{user}", host_key="{host_key}",
    port_range_start={web}, port_range_end={web}, identity=os.environ["IDENTITY"])
save_server(server_id=None, words=words)
"""


@dataclass
class Site:
    """A system without a place of its own for projects, and the server that it has instead."""

    world: World
    machine: Machine
    port: int
    project: dict[str, Any]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, trust_env=False, timeout=20, **options)

    def releases(self) -> list[dict[str, Any]]:
        path = f"/api/service_deployments/?project_id={self.project['id']}"
        return sorted(self.world.api.list(path), key=lambda release: str(release["created_at"]))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    engine, port = docker_engine.client(), free_port()
    with (
        machine(DEPLOY_SETTLE_SECONDS="2") as server,
        running(settings={"INFRA_LOCAL_TARGET": "false"}) as world,
    ):
        ssh = server.ssh
        words = SERVER.format(ssh=ssh.port, user=ssh.user, host_key=ssh.host_key, web=port)
        environment = {**world.stack.child_env(), "IDENTITY": ssh.identity}
        run_module("manage", "shell", "--command", words, env=environment, root=ROOT)
        body = {"name": "Library", "description": BOOKS.text, "modules": ["backend"]}
        project = world.api.post("/api/projects/", body, create=True)
        yield Site(world, server, port, project)
        docker_stage.remove_project(engine, project["slug"])
    engine.close()


def test_a_sentence_becomes_an_address_on_a_server_changes_and_goes(site: Site) -> None:
    first = site.world.wait(site.world.follow_up(site.project["id"], BOOKS.text)["id"], seconds=600)
    assert first["status"] == "completed", (first["failure"], site.world.logs())
    assert first["url"].rstrip("/") == f"http://127.0.0.1:{site.port}"
    site.ask("POST", BOOKS.path, json=BOOKS.valid).raise_for_status()

    second = site.world.wait(site.world.follow_up(site.project["id"], LINKS.text)["id"], seconds=600)
    assert second["status"] == "completed", (second["failure"], site.world.logs())
    assert second["url"] == first["url"]
    assert site.ask("GET", LINKS.path).status_code == 200
    assert BOOKS.valid["title"] in site.ask("GET", BOOKS.path).text

    live = site.releases()[-1]
    site.world.api.post(f"/api/service_deployments/{live['id']}/stop/", {})
    assert eventually(lambda: site.releases()[-1]["status"] == "stopped", seconds=120)
    assert not (site.machine.home / "projects" / site.project["slug"]).exists()
    with pytest.raises(httpx.ConnectError):
        site.ask("GET", "/health")
