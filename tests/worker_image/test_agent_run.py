"""The agent's environment, in both directions: nothing secret in, everything needed in."""

import pytest

from worker_image.agent_run import agent_environment
from worker_image.runners.claude import ClaudeRunner
from worker_image.runners.codex import CodexRunner

pytestmark = pytest.mark.unit
WRAPPER = {
    "PATH": "/bin",
    "HOME": "/home/worker",
    "HTTPS_PROXY": "http://proxy",
    "REDIS_URL": "redis://secret",
    "WORKER_TOKEN": "token",
    "API_URL": "http://api",
    "WORKER_ID": "w1",
    "ALLOWED_COMMANDS": "[]",
    "ANTHROPIC_API_KEY": "sk-ant",
    "ANTHROPIC_BASE_URL": "http://model",
    "OPENAI_API_KEY": "sk-oai",
    "PYTHONPATH": "/wrapper",
    "FEATURE_FLAG": "on",
    "OTHER": "x",
}


def test_agent_gets_its_provider_the_proxy_and_what_the_cli_needs() -> None:
    environment = agent_environment(WRAPPER, ClaudeRunner())

    assert {"PATH", "HOME", "HTTPS_PROXY", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"} <= environment.keys()
    assert {"API_URL", "WORKER_TOKEN", "ALLOWED_COMMANDS", "WORKER_ID"} <= environment.keys()


@pytest.mark.parametrize("name", ["REDIS_URL", "OPENAI_API_KEY", "PYTHONPATH", "FEATURE_FLAG", "OTHER"])
def test_agent_gets_nothing_that_is_not_listed(name: str) -> None:
    assert name not in agent_environment(WRAPPER, ClaudeRunner())


def test_each_agent_gets_only_its_own_provider() -> None:
    environment = agent_environment(WRAPPER, CodexRunner())

    assert "OPENAI_API_KEY" in environment
    assert "ANTHROPIC_API_KEY" not in environment


PACKAGES = {
    "PIP_INDEX_URL": "https://mirror.corp/simple",
    "UV_INDEX": "https://mirror.corp/simple",
    "UV_LINK_MODE": "copy",
    "NPM_CONFIG_REGISTRY": "https://mirror.corp/npm",
    "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    "GIT_SSL_CAINFO": "/etc/ssl/certs/ca-certificates.crt",
}


def test_agent_installs_from_where_the_worker_was_told_to() -> None:
    environment = agent_environment(WRAPPER | PACKAGES, ClaudeRunner())

    assert environment.items() >= PACKAGES.items()


def test_agent_is_not_handed_a_registry_s_password() -> None:
    outer = WRAPPER | {"PIP_EXTRA_INDEX_URL": "https://me:secret@mirror.corp/simple"}

    assert "PIP_EXTRA_INDEX_URL" not in agent_environment(outer, ClaudeRunner())


def test_operator_grants_variables_but_never_the_channel() -> None:
    environment = agent_environment(WRAPPER, ClaudeRunner(), granted=frozenset({"FEATURE_FLAG", "REDIS_URL"}))

    assert environment["FEATURE_FLAG"] == "on"
    assert "REDIS_URL" not in environment


def test_agents_python_and_git_are_kept_apart_from_the_wrappers() -> None:
    environment = agent_environment(WRAPPER, ClaudeRunner())

    assert environment["PYTHONNOUSERSITE"] == "1"
    assert environment["GIT_CONFIG_GLOBAL"] == "/dev/null"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
