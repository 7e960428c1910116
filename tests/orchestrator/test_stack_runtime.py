"""What the stack finds out about the workers' runtime, writes down, and hands to the edge."""

import os
from pathlib import Path

import pytest

from apps.workers.engine import registries
from apps.workers.runtime import choice
from apps.workers.runtime.docker import DockerRuntime
from orchestrator.envfile import read_values
from orchestrator.stack import CommandFailed
from orchestrator.stack.runtime import (
    FILE,
    Runtime,
    choose_runtime,
    dissolve,
    part_with_workers,
    read_runtime,
)
from orchestrator.stack.table import edge

ROOT = Path(__file__).resolve().parents[2]
# Not a path: of a failed connection to one, Docker's library leaves the socket to the collector.
NOBODY = "tcp://127.0.0.1:1"

pytestmark = pytest.mark.unit


@pytest.fixture
def no_daemon() -> DockerRuntime:
    return DockerRuntime(installation="t0", address=NOBODY, timeout_seconds=2)


def chosen(wanted: str, docker: DockerRuntime) -> choice.RuntimeChoice:
    return choice.choose(wanted, docker=docker, base_images=["some:image"], interface="cg-none")


def env(tmp_path: Path, **settings: str) -> dict[str, str]:
    place = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "SECRET_KEY": "x"}
    return place | {"DOCKER_HOST": NOBODY} | settings


def test_without_a_daemon_auto_means_processes_and_says_why(no_daemon):
    assert chosen("auto", no_daemon) == choice.RuntimeChoice(
        runtime="process", reason="no Docker daemon answers"
    )


def test_who_wants_containers_gets_them_even_while_the_daemon_is_away(no_daemon):
    found = chosen("docker", no_daemon)

    assert found.runtime == "docker"
    assert found.reason == "WORKERS_RUNTIME=docker, although no Docker daemon answers"
    assert found.base_image == "some:image"


def test_who_wants_processes_is_not_asked_about_docker(no_daemon):
    assert chosen("process", no_daemon).reason == "WORKERS_RUNTIME=process"


def test_an_unknown_runtime_is_refused(no_daemon):
    with pytest.raises(ValueError, match="WORKERS_RUNTIME must be auto, docker or process"):
        chosen("podman", no_daemon)


def test_the_choice_is_written_down_for_every_other_process(tmp_path):
    runtime = choose_runtime(env(tmp_path), var_dir=tmp_path, root=ROOT)

    assert runtime.notice == "Workers run as processes, without isolation: no Docker daemon answers."
    assert read_runtime(tmp_path) == runtime
    assert read_values({"VAR_DIR": str(tmp_path)}, ROOT)["WORKERS_RUNTIME"] == "process"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_last_time_s_choice_does_not_decide_this_time_s(tmp_path):
    (tmp_path / FILE).write_text("WORKERS_RUNTIME=docker\nWORKERS_BASE_IMAGE=gone\n")

    runtime = choose_runtime(env(tmp_path), var_dir=tmp_path, root=ROOT)

    assert runtime.runtime == "process"
    assert runtime.base_image == ""


def test_a_stop_that_cannot_ask_the_daemon_fails_and_remembers_what_it_has_to_do(tmp_path):
    (tmp_path / FILE).write_text("WORKERS_RUNTIME=docker\nWORKERS_RUNTIME_REASON=x\n")

    with pytest.raises(CommandFailed, match="containers of workers may be left"):
        dissolve(env(tmp_path), var_dir=tmp_path, root=ROOT, keep_homes=True)

    assert read_runtime(tmp_path) is not None


def test_a_stop_of_processes_asks_no_daemon(tmp_path):
    (tmp_path / FILE).write_text("WORKERS_RUNTIME=process\nWORKERS_RUNTIME_REASON=x\n")

    dissolve(env(tmp_path), var_dir=tmp_path, root=ROOT, keep_homes=True)

    assert read_runtime(tmp_path) is None


def checkout_with_a_farewell(tmp_path: Path, code: str) -> Path:
    package = tmp_path / "checkout" / "orchestrator" / "stack"
    package.mkdir(parents=True)
    (package / "farewell.py").write_text(code)
    return tmp_path / "checkout"


def test_who_has_no_workers_is_not_asked_to_wait_for_any(tmp_path):
    root = checkout_with_a_farewell(tmp_path, "open('asked', 'w').close()")
    (tmp_path / FILE).write_text("WORKERS_RUNTIME=process\nWORKERS_RUNTIME_REASON=x\n")

    part_with_workers(env(tmp_path), var_dir=tmp_path, root=root)

    assert not (root / "asked").exists()


@pytest.mark.parametrize("runtime", ["docker", "process"])
def test_workers_are_let_go_before_the_rest_and_a_failure_of_it_stops_no_stop(tmp_path, runtime):
    root = checkout_with_a_farewell(tmp_path, "open('asked', 'w').close(); raise SystemExit(1)")
    (tmp_path / FILE).write_text(f"WORKERS_RUNTIME={runtime}\nWORKERS_RUNTIME_REASON=x\n")
    if runtime == "process":
        (tmp_path / "units" / "units" / "worker-1").mkdir(parents=True)

    part_with_workers(env(tmp_path), var_dir=tmp_path, root=root)

    assert (root / "asked").exists()


def test_containers_and_their_reason_are_told_in_one_line():
    runtime = Runtime(runtime="docker", reason="Docker 20.10 answers and has debian", base_image="debian")

    assert runtime.notice == "Workers run as containers: Docker 20.10 answers and has debian."
    assert runtime.settings() == {"WORKERS_RUNTIME": "docker", "WORKERS_BASE_IMAGE": "debian"}


def test_the_edge_gets_addresses_and_no_secret():
    spec = edge(installation="0123456789ab", channel_url="redis://:topsecret@127.0.0.1:6380/0")

    assert spec.env == {
        "WORKERS_INSTALLATION": "0123456789ab",
        "CHANNEL_REDIS_URL": "redis://127.0.0.1:6380",
    }
    assert spec.inherits is not None
    assert not {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ENCRYPTION_KEYS"} & spec.inherits


def test_containers_are_told_the_registries_that_mean_something_in_them():
    outer = {
        "UV_INDEX": "file:///opt/simple https://mirror.corp/simple https://user:pw@secret.corp/simple",
        "PIP_INDEX_URL": "https://mirror.corp/simple",
        "UV_FIND_LINKS": "/opt/wheels",
        "SSL_CERT_FILE": "/etc/ssl/x",
    }

    assert registries(outer) == {
        "UV_INDEX": "https://mirror.corp/simple",
        "PIP_INDEX_URL": "https://mirror.corp/simple",
    }
