"""The real images: the wrapper is PID 1, tools are there, agents run hardened (seed: test_worker_base)."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import docker
import pytest
from django.conf import settings
from redis import Redis

from apps.workers.agents import AGENTS
from apps.workers.channel import Channel
from apps.workers.credentials import digest
from apps.workers.image_builder import ImageBuilder
from tests import docker_engine, worker_images
from worker_image.contract import AgentType, acl_user, output_stream

pytestmark = [pytest.mark.integration, pytest.mark.docker]
PATIENCE_SECONDS = 30.0
#: As the docker runtime makes them: nothing here may depend on a writable root or on a capability.
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 256,
    "mem_limit": 2 * 1024**3,
    "tmpfs": {"/tmp": "rw,exec"},
    "volumes": ["/home/worker", "/workspace", "/inputs"],
}


@pytest.fixture(scope="module")
def builder() -> ImageBuilder:
    return worker_images.real_builder()


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker_engine.client()
    yield client
    client.close()


@pytest.fixture
def base_tag(builder: ImageBuilder) -> str:
    worker_images.built(builder, builder.base())
    return builder.base_tag


@pytest.fixture
def run(engine: docker.DockerClient) -> Iterator[Callable[..., Any]]:
    """Start a hardened container that is gone afterwards."""
    started: list[Any] = []

    def start(tag: str, command: list[str] | None = None, **options: Any) -> Any:
        container = engine.containers.run(tag, command, detach=True, **{**HARDENED, **options})
        started.append(container)
        return container

    yield start
    for container in started:
        container.remove(force=True, v=True)


@pytest.fixture
def worker(run: Callable[..., Any], base_tag: str, channel: Redis) -> tuple[str, Any]:
    """A worker's container with its own user on the channel, on the host's network for want of an edge."""
    identity, password = uuid4(), "p" * 32
    worker_id, operator = str(identity), Channel(channel)
    operator.admit(identity, digest(password))
    address = settings.CHANNEL_REDIS_URL.rpartition("@")[2]
    environment = {
        "WORKER_ID": worker_id,
        "WORKER_TYPE": "developer",
        "AGENT_TYPE": "rehearsal",
        "REDIS_URL": f"redis://{acl_user(worker_id)}:{password}@{address}",
        "API_URL": "http://127.0.0.1:9",
        "WORKER_TOKEN": "t" * 32,
    }
    container = run(base_tag, environment=environment, network_mode="host")
    yield worker_id, container
    operator.shut_out(identity)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


def heartbeats(channel: Redis, worker_id: str) -> list[dict[str, Any]]:
    """Return the signs of life of a worker's wrapper."""
    words = [json.loads(fields["data"]) for _, fields in channel.xrange(output_stream(worker_id))]
    return [word for word in words if word["kind"] == "heartbeat"]


def output_of(engine: docker.DockerClient, tag: str, script: str, **options: Any) -> str:
    """Run a shell script in a hardened container and return what it wrote."""
    arguments = {**HARDENED, "network_mode": "none", **options}
    # Not the SDK's own function: it leaves the volumes behind.
    container = engine.containers.create(tag, ["sh", "-ec", script], **arguments)
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs().decode(errors="replace")
        return container.logs(stderr=False).decode()
    finally:
        container.remove(v=True, force=True)


def test_container_starts_with_wrapper_as_pid1(worker) -> None:
    _, container = worker

    words = until(lambda: container.exec_run("cat /proc/1/cmdline").output)

    assert b"worker_wrapper" in words


def test_orchestrator_cli_installed(worker) -> None:
    _, container = worker

    found = container.exec_run("which orchestrator")
    usage = container.exec_run("orchestrator --help")

    assert (found.exit_code, found.output.strip()) == (0, b"/usr/local/bin/orchestrator")
    assert usage.exit_code == 0
    assert b"project" in usage.output


def test_project_cannot_shadow_what_our_programs_import(engine, base_tag: str) -> None:
    script = "echo 'raise SystemExit(9)' | tee httpx.py redis.py > structlog.py; orchestrator --help"

    words = output_of(engine, base_tag, script)

    assert "project" in words


def test_publishes_started_lifecycle_event(worker, channel: Redis) -> None:
    worker_id, _ = worker

    entries = until(lambda: channel.xrange(output_stream(worker_id)))
    words = [json.loads(fields["data"]) for _, fields in entries]

    started = next(word for word in words if word["kind"] == "lifecycle")
    assert (started["body"]["worker_id"], started["body"]["event"]) == (worker_id, "started")


def test_stop_is_graceful_and_orphans_are_reaped(worker) -> None:
    _, container = worker
    until(lambda: b"worker_wrapper" in container.exec_run("cat /proc/1/cmdline").output)
    container.exec_run(["sh", "-c", "(sleep 0.2 &) ; exit 0"])

    def sleepers() -> bytes:
        """Count them, the dead that nobody collected included."""
        return container.exec_run(["sh", "-c", "ps -eo comm | grep -c '^sleep' || true"]).output.strip()

    until(lambda: sleepers() == b"0")
    container.stop(timeout=20)

    container.reload()
    assert container.attrs["State"]["ExitCode"] != 137


def test_wrapper_lives_on_beside_ten_thousand_forks(worker, channel: Redis) -> None:
    worker_id, container = worker
    until(lambda: heartbeats(channel, worker_id))
    bomb = "for i in $(seq 10000); do sleep 60 & done"

    container.exec_run(["bash", "-c", f"({bomb}) & ({bomb}) & wait"], detach=True)
    until(lambda: len(container.top()["Processes"]) > HARDENED["pids_limit"] - 50)
    before = len(heartbeats(channel, worker_id))
    until(lambda: len(heartbeats(channel, worker_id)) > before + 1)

    many = len(container.top()["Processes"])
    container.reload()
    assert HARDENED["pids_limit"] - 50 < many <= HARDENED["pids_limit"]
    assert container.attrs["State"]["Running"]


def test_worker_is_not_root_and_owns_its_places(engine, base_tag: str) -> None:
    words = output_of(engine, base_tag, "id -u; id -un; touch ~/a /workspace/a /inputs/a /tmp/a; pwd")

    assert words.split() == ["1000", "worker", "/workspace"]


def test_tools_are_there(engine, base_tag: str) -> None:
    words = output_of(
        engine, base_tag, "for tool in git curl make node npm uv; do $tool --version; done"
    )

    major = int(words.split("\nv")[1].partition(".")[0])
    assert "git version" in words
    assert major >= 22


def test_bytecode_is_compiled(engine, base_tag: str) -> None:
    script = "/opt/worker/bin/python3 -v -c 'import worker_image.wrapper, worker_image.cli.main' 2>&1"

    words = output_of(engine, base_tag, f"{script} | grep 'code object from' | grep -v \"\\.pyc'\" || true")

    assert [line for line in words.splitlines() if "/opt/worker/" in line] == []


def test_extra_certificates_are_trusted_by_everything(engine, builder: ImageBuilder, base_tag: str) -> None:
    count = sum(name.endswith(".crt") for name in builder.sources.files)
    script = "env; ls /usr/local/share/ca-certificates/*.crt 2>/dev/null | wc -l"

    words = output_of(engine, base_tag, script).splitlines()

    for name in ("PIP_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE"):
        assert f"{name}=/etc/ssl/certs/ca-certificates.crt" in words
    assert int(words[-1]) == count


def test_the_agent_s_shell_sees_certificates_and_registries(engine, base_tag: str) -> None:
    """What the image and the runtime give the container reaches what the agent starts."""
    code = (
        "import os, subprocess; from worker_image.agent_run import agent_environment; "
        "from worker_image.runners.claude import ClaudeRunner; "
        "subprocess.run(['env'], env=agent_environment(os.environ, ClaudeRunner()))"
    )
    script = f'NPM_CONFIG_REGISTRY=https://mirror.corp/npm /opt/worker/bin/python3 -P -c "{code}"'

    words = output_of(engine, base_tag, script).splitlines()

    assert "NPM_CONFIG_REGISTRY=https://mirror.corp/npm" in words
    for name in ("PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"):
        assert f"{name}=/etc/ssl/certs/ca-certificates.crt" in words


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "agent_type", [agent for agent, row in AGENTS.items() if row.program is not None], ids=str
)
def test_agent_runs_hardened(engine, builder: ImageBuilder, agent_type: AgentType) -> None:
    recipe = builder.recipe(agent_type, ["git"])
    worker_images.built(builder, builder.base(), recipe)

    program = AGENTS[agent_type].program
    words = output_of(engine, recipe.tag, f"{program} --version")

    installed = " ".join(AGENTS[agent_type].agent.get_install_commands())
    version = next(word for word in words.split() if word[0].isdigit())
    assert f"@{version}" in installed


@pytest.mark.timeout(600)
def test_second_image_costs_only_its_difference(engine, builder: ImageBuilder) -> None:
    first, second = builder.recipe("claude", ["git"]), builder.recipe("codex", ["git"])
    worker_images.built(builder, builder.base(), first, second)
    images = [engine.images.get(tag) for tag in (builder.common_tag, first.tag, second.tag)]
    common, one, other = (image.attrs["RootFS"]["Layers"] for image in images)

    assert one[: len(common)] == common == other[: len(common)]
    # One for each command of the agent, one for our own code.
    assert len(one) - len(common) <= len(first.commands) + 1


@pytest.mark.timeout(600)
def test_different_agent_types_produce_different_images(engine, builder: ImageBuilder) -> None:
    recipes = [builder.recipe(agent_type) for agent_type in ("claude", "factory", "rehearsal")]
    worker_images.built(builder, builder.base(), *recipes)

    images = {engine.images.get(recipe.tag).id for recipe in recipes}

    assert len(images) == 3
