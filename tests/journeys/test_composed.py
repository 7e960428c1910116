"""The composed stack as an operator meets it: brought up, signed in to, worked with, hurt, and taken down."""

import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import docker
import httpx
import pytest

from orchestrator.celery import QUEUES
from orchestrator.embedded.processes import free_port
from orchestrator.env import ROOT
from tests import docker_engine
from tests.data.sentences import SENTENCES
from tests.journeys.composed_stage import COMPOSE, OURS, Composed, composed, eventually, make_images
from tests.server_machine import machine
from tests.template import docker_stage

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(1_500)]

BOOKS = SENTENCES[0]
BOT_TOKEN = "123456789:AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
SERVER = """
from apps.infra.servers import ServerWords, save_server
save_server(server_id=None, words=ServerWords(
    name="berlin", host="{host}", ssh_port={ssh}, ssh_user="{user}", host_key="{host_key}",
    port_range_start={web}, port_range_end={web}, identity='''{identity}'''))
"""
ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker_engine.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def stack(engine: docker.DockerClient) -> Iterator[Composed]:
    base = os.environ.get("WORKERS_BASE_IMAGE")
    if not base:
        pytest.skip("nobody prepared an image to build on (WORKERS_BASE_IMAGE)")
    make_images(base)
    with composed(engine) as brought_up:
        yield brought_up
    assert brought_up.leftovers() == []


@pytest.fixture(scope="module")
def password(stack: Composed) -> str:
    """The first password, as the operator gets it."""
    printed = stack.compose("exec", "-T", "web", "python", "manage.py", "ensure_admin")
    found = re.search(r"password (\S+)", printed)
    assert found is not None
    stack.orchestrator("login", "--url", stack.url, "--username", "admin", ORCHESTRATOR_PASSWORD=found[1])
    return found[1]


@pytest.fixture(scope="module")
def worked(stack: Composed, password: str) -> dict[str, Any]:
    """A project with a change, made in a worker's container, and what came after it."""
    project = stack.orchestrator(
        *("project", "create", "--name", "Books", "--modules", "backend,telegram"),
        *("--description", BOOKS.text),
    )
    ready = eventually(
        lambda: stack.orchestrator("project", "get", project["id"])["status"] == "active", seconds=90
    )
    assert ready, stack.logs()
    words = ("engineering", "start", "--project", project["id"], "--spec", BOOKS.text, "--deploy")
    task = stack.orchestrator(*words)["id"]
    stack.orchestrator("engineering", "wait", task, "--timeout", "300")
    return {"task": stack.orchestrator("engineering", "status", task), "project": project}


def ended(stack: Composed, task_id: str) -> dict[str, Any] | None:
    """Return a task that has ended, None while it has not."""
    found: dict[str, Any] = stack.orchestrator("deploy", "status", task_id)
    return found if found["status"] in ENDED else None


def test_everybody_is_well_and_the_migrations_have_ended(stack: Composed) -> None:
    states = stack.states()

    assert states.pop("migrate") == "ended 0"
    assert set(states.values()) == {"healthy"}
    assert httpx.get(f"{stack.url}/health/ready").json()["status"] == "ok"


def test_every_queue_s_process_answers(stack: Composed) -> None:
    words = ("celery", "-A", "orchestrator.celery", "inspect", "ping", "--timeout", "20", "--json")

    answers = json.loads(stack.compose("exec", "-T", "graph", *words))

    assert sorted(name.partition("@")[0] for name in answers) == sorted(QUEUES)


def test_nobody_is_root_and_nothing_can_be_written_but_what_is_meant_to_be(stack: Composed) -> None:
    _code, uid = stack.inside("web", "id", "-u")
    _code, written = stack.inside("web", "touch", "/app/x")
    code, _output = stack.inside("web", "sh", "-c", "command -v gcc cc make")

    assert uid == "10001"
    assert "Read-only file system" in written
    assert code != 0
    assert stack.engine.images.get(OURS).attrs["Config"]["User"] == "orchestrator"


def test_the_operator_diagnoses_it(stack: Composed, password: str) -> None:
    answers = [stack.orchestrator("diagnose", name) for name in ("api", "redis", "projects")]

    assert [answer["status"] for answer in answers[:2]] == ["ok", "ok"]
    assert answers[2] == []


def test_the_admin_its_files_and_flower_are_reached_through_the_edge(stack: Composed, password: str) -> None:
    with httpx.Client(base_url=stack.url, follow_redirects=True, timeout=30) as browser:
        stranger = browser.get("/flower/")
        form = {"username": "admin", "password": password, "next": "/admin/"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        first = browser.post("/admin/login/", data=form, headers={"Referer": f"{stack.url}/admin/login/"})
        style = re.search(r'href="(/static/orchestrator/[^"]+\.css)"', first.text)
        flower = browser.get("/flower/workers?json=1")

        assert stranger.url.path == "/admin/login/"
        assert (first.status_code, first.url.path) == (200, "/admin/")
        assert style is not None
        assert browser.get(style[1]).status_code == 200
        assert flower.status_code == 200
        assert "Flower" in browser.get("/flower/").text


def test_a_worker_in_its_container_does_the_work(stack: Composed, worked: dict[str, Any]) -> None:
    assert worked["task"]["status"] == "completed", worked["task"]["failure"]
    assert worked["task"]["result"]["verification_id"]


def test_a_question_is_answered_and_there_is_no_machine_to_deploy_to(
    stack: Composed, worked: dict[str, Any]
) -> None:
    mine = stack.orchestrator("task", "list")
    (deployment,) = [task for task in mine if task["type"] == "deploy"]

    (question,) = eventually(lambda: stack.ask("/api/questions/?status=open")["results"], seconds=60)
    stack.orchestrator("task", "answer", question["id"], typed=BOT_TOKEN)
    end = eventually(lambda: ended(stack, deployment["id"]), seconds=60)

    assert end["failure"]["code"] == "no_server"
    assert "add one" in end["failure"]["message"]


def test_once_there_is_a_server_projects_are_deployed_to_it(stack: Composed, worked: dict[str, Any]) -> None:
    words = ("--name", "Library", "--modules", "backend", "--description", BOOKS.text)
    project = stack.orchestrator("project", "create", *words)
    gateway, port = stack.gateway(), free_port()
    with machine(host=gateway, DEPLOY_SETTLE_SECONDS="2") as server:
        ssh = server.ssh
        typed = SERVER.format(
            host=gateway, ssh=ssh.port, user=ssh.user, host_key=ssh.host_key, web=port, identity=ssh.identity
        )
        stack.run(str(COMPOSE), "exec", "-T", "web", "python", "manage.py", "shell", typed=typed)
        ready = eventually(
            lambda: stack.orchestrator("project", "get", project["id"])["status"] == "active", seconds=90
        )
        try:
            task = stack.orchestrator("deploy", "start", "--project", project["id"])["id"]
            end = eventually(lambda: ended(stack, task), seconds=400)
            health = httpx.get(f"http://{gateway}:{port}/health", trust_env=False, timeout=20)
        finally:
            docker_stage.remove_project(stack.engine, project["slug"])

    assert ready
    assert end["status"] == "completed", end["failure"]
    assert health.json()["status"] == "ok"


def test_a_worker_reaches_the_gateway_and_no_server_of_ours(stack: Composed, worked: dict[str, Any]) -> None:
    network = stack.workers_network()
    gateway = network.attrs["IPAM"]["Config"][0]["Gateway"].partition("/")[0]
    ports = {"postgres": 5432, "broker": 6379, "channel": 6379, "web": 8000, "edge": 8000}
    targets = [f"{address}/{port}" for name, port in ports.items() for address in stack.addresses(name)]
    tries = [f"timeout 3 bash -c 'exec 3<>/dev/tcp/{one}' && echo reached {one}" for one in targets]
    request = "printf 'GET /health/live HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'"
    tries.append(f"exec 3<>/dev/tcp/{gateway}/7311; {request} >&3; cat <&3")

    said = stack.engine.containers.run(
        OURS, ["bash", "-c", "\n".join(tries)], network=network.name, remove=True, stderr=False
    ).decode()

    assert "reached" not in said
    assert said.startswith("HTTP/1.1 200 OK")


def test_who_dies_is_back_and_well(stack: Composed) -> None:
    # As a crash would: what the engine itself kills it takes for stopped on purpose.
    os.kill(stack.container("hooks").attrs["State"]["Pid"], signal.SIGKILL)
    started_again = eventually(lambda: stack.container("hooks").attrs["RestartCount"] == 1, seconds=60)

    well = eventually(lambda: stack.states()["hooks"] == "healthy", seconds=180)

    assert started_again
    assert well, stack.logs()


def test_nothing_is_left_when_it_is_taken_down(stack: Composed, worked: dict[str, Any]) -> None:
    stack.run(str(ROOT / "scripts" / "compose_down"), "--volumes")

    assert stack.leftovers() == []
