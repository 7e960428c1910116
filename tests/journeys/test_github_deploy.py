"""Deploying by the project's own workflow: an address, the ways it fails, its end, and the way back."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orchestrator.env import ROOT
from orchestrator.stack.prepare import run_module
from tests.journeys.github_world import GitHubWorld, running_on_github
from tests.journeys.world import eventually
from worker_image.cli.task_commands import begin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TEMPLATE = Path(__file__).parent.parent / "data" / "deploy_template"
SERVER = """
from apps.infra.servers import ServerWords, save_server
from apps.infra.identities import make_key_pair
key = make_key_pair().private_key
save_server(server_id=None, words=ServerWords(name="berlin", host="127.0.0.1", ssh_port=22, ssh_user="deploy",
    host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43,
    port_range_start={port}, port_range_end={port}, identity=key))
"""


class _Handler(BaseHTTPRequestHandler):
    """The server that workflows deploy to: it answers once something was put there."""

    def __init__(self, place: Path, *arguments: Any) -> None:
        self.place = place
        super().__init__(*arguments)

    def do_GET(self) -> None:
        live = self.place / "live.json"
        self.send_response(200 if live.exists() else 503)
        self.end_headers()
        self.wfile.write(live.read_bytes() if live.exists() else b"")

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Site:
    """A project on GitHub, the system that deploys it, and the server that it is deployed to."""

    hosted: GitHubWorld
    place: Path
    port: int
    project_id: str

    def deploy(self) -> str:
        return str(begin(self.hosted.world.api, project_id=self.project_id, type="deploy")["id"])

    def wait(self, task_id: str, *, seconds: float = 200) -> dict[str, Any]:
        return self.hosted.world.wait(task_id, seconds=seconds)

    def releases(self) -> list[dict[str, Any]]:
        path = f"/api/service_deployments/?project_id={self.project_id}"
        return list(self.hosted.world.api.list(path))

    @property
    def live(self) -> dict[str, Any]:
        return dict(json.loads((self.place / "live.json").read_text()))

    def flag(self, name: str) -> Path:
        """Make the workflow behave badly until the flag is taken down."""
        path = self.place / name
        path.touch()
        return path

    def runs(self) -> list[Any]:
        repository = self.hosted.repository(self.project_id)
        return [run for run in repository.runs if run.path.endswith("main.yml")]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="site-", dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def port(place: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, place))
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(place: Path, port: int) -> Iterator[Site]:
    with running_on_github(settings={"SCAFFOLD_TEMPLATE": str(TEMPLATE)}) as hosted:
        hosted.github.stage.runner_environment["SITE_DIR"] = str(place)
        environment = hosted.world.stack.child_env()
        run_module("manage", "shell", "--command", SERVER.format(port=port), env=environment, root=ROOT)
        project = hosted.start_project("Books by workflow")
        hosted.world.api.post(f"/api/projects/{project['id']}/scaffold/")
        path = f"/api/projects/{project['id']}/"
        assert eventually(lambda: hosted.world.api.get(path)["status"] == "active", seconds=60)
        yield Site(hosted, place, port, str(project["id"]))


@pytest.fixture(scope="module")
def deployed(site: Site) -> dict[str, Any]:
    """The first deployment: its task and card; the one secret that only a person has was asked for."""
    task_id = site.deploy()
    api = site.hosted.world.api
    assert eventually(lambda: bool(list(api.list("/api/questions/?status=open"))), seconds=60)
    (question,) = api.list("/api/questions/?status=open")
    api.post(f"/api/questions/{question['id']}/answer/", {"text": "good morning"})
    return {"id": task_id, "card": site.wait(task_id), "question": question}


def test_a_commit_becomes_an_address_by_the_projects_own_workflow(
    site: Site, deployed: dict[str, Any]
) -> None:
    card = deployed["card"]
    assert card["status"] == "completed", card["failure"]

    kinds = [line["kind"] for line in card["lines"]]
    (release,) = site.releases()

    assert card["url"] == f"http://127.0.0.1:{site.port}/"
    assert kinds.index("workflow_finished") < kinds.index("smoke_passed") < kinds.index("deployed")
    assert (release["status"], release["target"]) == ("live", "workflow")
    assert release["images"] == {"backend": f"sha256:{release['commit_sha']}"}
    assert len(release["contract_version"]) == len(release["environment_digest"]) == 64
    assert release["evidence"]["smoke"]["status"] == 200


def test_what_only_a_person_knows_was_asked_with_its_description(deployed: dict[str, Any]) -> None:
    assert deployed["question"]["secret_key"] == "GREETING"
    assert "What it says" in deployed["question"]["text"]


def test_values_are_with_the_git_host_and_no_longer_with_us(site: Site, deployed: dict[str, Any]) -> None:
    names = set(site.hosted.repository(site.project_id).secrets)
    told = site.hosted.world.api.get(f"/api/projects/{site.project_id}/secrets/")
    dump = "SELECT string_agg(row_to_json(s)::text, ' ') FROM projects_projectsecret s"

    ((rows,),) = site.hosted.world.rows(dump)

    assert {"GREETING", "SIGNING_KEY", "DEPLOY_SSH_KEY", "DEPLOY_HOST_KEY", "DEPLOY_USER"} <= names
    assert {secret["key"]: secret["source"] for secret in told} == {
        "GREETING": "user",
        "SIGNING_KEY": "generated",
    }
    assert all(secret["stored_at"] for secret in told)
    assert site.live["greeting"] == "good morning"
    assert "good morning" not in rows


def test_trouble_on_the_way_to_the_server_is_tried_again_and_no_agent_hears_of_it(
    site: Site, deployed: dict[str, Any]
) -> None:
    site.flag("cut")

    task_id = site.deploy()
    card = site.wait(task_id)

    kinds = site.hosted.world.kinds(task_id)
    assert card["status"] == "completed", card["failure"]
    assert kinds.count("workflow_failed") == 1
    assert "returned" not in kinds


def test_an_expired_token_and_a_rate_limit_in_the_middle_only_cost_time(
    site: Site, deployed: dict[str, Any]
) -> None:
    stage = site.hosted.github.stage
    stage.tokens_last_calls = 12
    stage.limit_after(6, seconds=3)
    with stage.counting() as calls:
        try:
            card = site.wait(site.deploy())
        finally:
            stage.tokens_last_calls = 0

    assert card["status"] == "completed", card["failure"]
    assert stage.has_limited
    assert sum(times for name, times in calls.items() if name.endswith("/access_tokens")) > 1


def test_the_codes_own_fault_goes_back_to_engineering_with_the_log(
    site: Site, deployed: dict[str, Any]
) -> None:
    flag = site.flag("broken")

    task_id = site.deploy()
    card = site.wait(task_id)
    flag.unlink()

    tasks = site.hosted.world.api.list(f"/api/tasks/?project_id={site.project_id}&type=engineering")
    (mending,) = [task for task in tasks if task["follows_id"] == task_id]
    site.hosted.world.api.post(f"/api/tasks/{mending['id']}/cancel/")
    assert (card["status"], card["failure"]["code"]) == ("failed", "workflow_failed")
    assert "SyntaxError: never closed" in mending["spec"]
    assert mending["deploy_after"] is True
    assert [line["kind"] for line in card["lines"]].count("workflow_failed") == 1
    site.wait(mending["id"])


def test_a_canceled_deployment_is_told_so_when_its_workflow_has_ended(
    site: Site, deployed: dict[str, Any]
) -> None:
    flag = site.flag("slow")
    task_id = site.deploy()
    assert eventually(lambda: "workflow_started" in site.hosted.world.kinds(task_id), seconds=60)

    site.hosted.world.api.post(f"/api/tasks/{task_id}/cancel/")
    card = site.wait(task_id)
    flag.unlink()

    run = site.runs()[-1]
    assert card["status"] == "cancelled"
    assert (run.status, run.conclusion) == ("completed", "cancelled")


def test_at_the_limit_the_workflow_is_canceled_before_the_task_is_told_failed(
    site: Site, deployed: dict[str, Any]
) -> None:
    flag = site.flag("slow")
    task_id = site.deploy()
    assert eventually(lambda: "workflow_started" in site.hosted.world.kinds(task_id), seconds=60)
    # Half an hour is long for a test: let it be over in a moment.
    soon = "UPDATE projects_dispatch SET deadline_at = now() + interval '2 s' WHERE task_id = %s RETURNING id"
    assert len(site.hosted.world.rows(soon, task_id)) == 1

    card = site.wait(task_id)
    flag.unlink()

    run = site.runs()[-1]
    assert (card["status"], card["failure"]["code"]) == ("failed", "deploy_timeout")
    assert (run.status, run.conclusion) == ("completed", "cancelled")


def test_the_terminal_goes_back_to_the_release_before(site: Site, deployed: dict[str, Any]) -> None:
    code, answer = site.hosted.world.command("deploy", "rollback", "--project", site.project_id)
    card = site.wait(answer["data"]["id"])

    assert code == 0
    assert card["status"] == "completed", card["failure"]
    assert site.live["rollback"] == "true"
    newest = max(site.releases(), key=lambda release: release["created_at"])
    assert (newest["status"], newest["rollback_of"] is not None) == ("live", True)
