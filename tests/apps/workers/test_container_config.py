"""What a worker's container is."""

from typing import Any

import pytest

from apps.workers.container_config import ContainerConfigInvalid, WorkerContainerConfig
from apps.workers.runtime.docker_convert import Place, run_keywords

pytestmark = pytest.mark.unit
ADDRESSES = {"redis_url": "redis://worker-1:secret@channel/0", "api_url": "http://api"}


def config(**fields: Any) -> WorkerContainerConfig:
    defaults = {
        "worker_id": "1",
        "worker_type": "developer",
        "agent_type": "claude",
        "capabilities": ("git",),
    }
    return WorkerContainerConfig(**{**defaults, **fields})


def test_key_enters_by_its_own_name_and_mode_only() -> None:
    claude = config(api_key="sk-1", provider_url="http://model").to_env_vars(**ADDRESSES)
    factory = config(agent_type="factory", api_key="fk-1").to_env_vars(**ADDRESSES)
    keyless = config(auth_mode="none", api_key="sk-1").to_env_vars(**ADDRESSES)

    assert (claude["ANTHROPIC_API_KEY"], claude["ANTHROPIC_BASE_URL"]) == ("sk-1", "http://model")
    assert factory["FACTORY_API_KEY"] == "fk-1"
    assert "sk-1" not in keyless.values()


@pytest.mark.parametrize(
    ("agent_type", "name"),
    [("claude", "ANTHROPIC_MODEL"), ("factory", "FACTORY_MODEL"), ("codex", "CODEX_MODEL")],
)
def test_model_enters_by_the_name_its_agent_knows(agent_type: str, name: str) -> None:
    chosen = config(agent_type=agent_type, model="best-1").to_env_vars(**ADDRESSES)
    default = config(agent_type=agent_type).to_env_vars(**ADDRESSES)

    assert chosen[name] == "best-1"
    assert name not in default


def test_agent_without_a_model_gets_none() -> None:
    variables = config(agent_type="rehearsal", model="best-1").to_env_vars(**ADDRESSES)

    assert "best-1" not in variables.values()


def test_container_knows_who_it_is() -> None:
    variables = config(token="t", allowed_commands=("project.get",)).to_env_vars(**ADDRESSES)

    assert variables["WORKER_ID"] == "1"
    assert variables["REDIS_URL"] == ADDRESSES["redis_url"]
    assert variables["ALLOWED_COMMANDS"] == '["project.get"]'
    assert "SESSION_ID" not in variables


def test_host_session_mounts_its_directory() -> None:
    mounts = config(auth_mode="host_session", host_claude_dir="/home/me/.claude").to_volume_mounts()

    assert mounts == {"/home/me/.claude": {"bind": "/home/worker/.claude", "mode": "rw"}}


@pytest.mark.parametrize("word", ["docker", "DOCKER", " Docker"])
def test_docker_capability_mounts_the_socket_however_it_is_written(word: str) -> None:
    mounts = config(capabilities=[word]).to_volume_mounts()

    assert "/var/run/docker.sock" in mounts


@pytest.mark.parametrize(
    "fields", [{"auth_mode": "host_session"}, {"env_vars": {"REDIS_URL": "redis://elsewhere"}}]
)
def test_impossible_container_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ContainerConfigInvalid):
        config(**fields)


def test_container_has_limits_and_no_privileges() -> None:
    words = config().to_docker_run_kwargs()

    assert words["name"] == "worker-1"
    assert (words["mem_limit"], words["pids_limit"]) == (2 * 1024**3, 256)
    assert words["cap_drop"] == ["ALL"]


def test_docker_words_are_those_of_the_runtime() -> None:
    place = Place(installation="i", default_image="base")
    container = config(token="t", capabilities=("git",))

    words = container.to_docker_run_kwargs(place=place, **ADDRESSES)

    assert words == run_keywords(container.to_spec(stop_grace_seconds=10, **ADDRESSES), place)


def test_wrapper_is_the_first_process_of_its_container() -> None:
    words = config().to_docker_run_kwargs()

    assert words["entrypoint"] == ["orchestrator-worker"]
    assert words["init"] is False
    assert float(words["environment"]["CONTAINER_DEADLINE_SECONDS"]) > 0


def test_session_is_mounted_where_its_agent_looks_for_it() -> None:
    lent = {"auth_mode": "host_session", "host_claude_dir": "/home/me/session"}

    mounts = {
        agent: config(agent_type=agent, **lent).to_docker_run_kwargs()["mounts"][-1]["Target"]
        for agent in ("claude", "codex")
    }

    assert mounts == {"claude": "/home/worker/.claude", "codex": "/home/worker/.codex"}


def test_secrets_are_in_no_representation() -> None:
    container = config(api_key="sk-1", token="tok-1")

    spec = container.to_spec(stop_grace_seconds=10, **ADDRESSES)

    assert "sk-1" not in repr(container)
    assert "tok-1" not in repr(container)
    assert "secret" not in repr(spec)
    assert spec.command == ("orchestrator-worker",)
