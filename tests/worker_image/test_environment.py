"""Settings: typed, complete, and never shown."""

import pytest

from worker_image.contract import AgentType, WorkerType
from worker_image.environment import EnvironmentInvalid, read_environment

pytestmark = pytest.mark.unit
COMPLETE = {
    "WORKER_ID": "w1",
    "WORKER_TYPE": "developer",
    "AGENT_TYPE": "rehearsal",
    "REDIS_URL": "redis://worker-w1:hidden-password@127.0.0.1:1/0",
    "API_URL": "http://127.0.0.1:8000/",
    "WORKER_TOKEN": "hidden-token",
    "HOME": "/home/worker",
}


def test_defaults_are_filled_in() -> None:
    environment = read_environment(COMPLETE)

    assert (environment.worker_type, environment.agent_type) == (WorkerType.DEVELOPER, AgentType.REHEARSAL)
    assert str(environment.workspace_dir) == "/workspace"
    assert environment.api_url == "http://127.0.0.1:8000"
    assert environment.allowed_commands == ()


@pytest.mark.parametrize("name", sorted(COMPLETE))
def test_missing_variable_is_named(name: str) -> None:
    variables = {key: value for key, value in COMPLETE.items() if key != name}

    with pytest.raises(EnvironmentInvalid, match=name):
        read_environment(variables)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_TYPE", "qa"),
        ("AGENT_TYPE", "hidden"),
        ("REDIS_URL", "http://hidden"),
        ("API_URL", "ftp://hidden"),
        ("ALLOWED_COMMANDS", "hidden"),
        ("ALLOWED_COMMANDS", '{"a": 1}'),
        ("AGENT_VARIABLES", "[1]"),
    ],
)
def test_malformed_variable_is_named_without_its_value(name: str, value: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=name) as raised:
        read_environment({**COMPLETE, name: value})

    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("agent", "name"), [("claude", "ANTHROPIC_MODEL"), ("factory", "FACTORY_MODEL"), ("codex", "CODEX_MODEL")]
)
def test_model_is_the_one_of_the_agent(agent: str, name: str) -> None:
    variables = {**COMPLETE, "AGENT_TYPE": agent}

    assert read_environment({**variables, name: "best-1"}).model == "best-1"
    assert read_environment(variables).model is None


def test_secrets_are_not_in_the_repr() -> None:
    assert "hidden" not in repr(read_environment(COMPLETE))
