"""The agents: how each is installed, told things and paid for (seed: test_agent_factories)."""

import re

import pytest

from apps.workers.agents import AGENTS, ClaudeCodeAgent, CodexAgent, FactoryDroidAgent, RehearsalAgent
from worker_image.contract import AgentType, AuthMode
from worker_image.runners import RUNNERS

pytestmark = pytest.mark.unit


class TestClaudeCodeAgent:
    def test_get_install_commands_includes_npm_install(self) -> None:
        commands = ClaudeCodeAgent().get_install_commands()

        assert any("npm install" in command and "claude-code" in command for command in commands)

    def test_get_instruction_path_returns_claude_md(self) -> None:
        assert ClaudeCodeAgent().get_instruction_path() == "/workspace/CLAUDE.md"

    def test_get_agent_command_includes_dangerously_skip(self) -> None:
        assert "--dangerously-skip-permissions" in ClaudeCodeAgent().get_agent_command()


class TestFactoryDroidAgent:
    def test_get_install_commands_includes_curl_install(self) -> None:
        commands = FactoryDroidAgent().get_install_commands()

        assert any("curl" in command and "factory.ai" in command for command in commands)

    def test_get_install_commands_prefers_pinned_package(self) -> None:
        (command,) = FactoryDroidAgent().get_install_commands()

        assert command.index("npm install") < command.index("factory.ai")

    def test_get_instruction_path_returns_agents_md(self) -> None:
        assert FactoryDroidAgent().get_instruction_path() == "/workspace/AGENTS.md"


class TestCodexAgent:
    def test_get_install_commands_includes_npm_install(self) -> None:
        assert any("@openai/codex@" in command for command in CodexAgent().get_install_commands())

    def test_get_instruction_path_returns_agents_md(self) -> None:
        assert CodexAgent().get_instruction_path() == "/workspace/AGENTS.md"


def test_rehearsal_installs_nothing() -> None:
    assert RehearsalAgent().get_install_commands() == ()


@pytest.mark.parametrize("agent_type", list(AgentType))
def test_every_agent_has_its_row_and_its_runner(agent_type: AgentType) -> None:
    assert agent_type in AGENTS
    assert agent_type in RUNNERS


@pytest.mark.parametrize("agent_type", list(AgentType))
def test_every_installed_package_is_pinned(agent_type: AgentType) -> None:
    commands = " ".join(AGENTS[agent_type].agent.get_install_commands())

    packages = re.findall(r"@[a-z-]+/\S+", commands.replace("$(node -p process.arch)", "x64"))

    installed = [package for package in packages if not package.endswith('/bin/droid"')]
    assert all(re.search(r"@\d+\.\d+\.\d+$", package) for package in installed)
    assert "latest" not in commands


@pytest.mark.parametrize(
    ("agent_type", "mode", "names"),
    [
        ("claude", "api_key", ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")),
        ("factory", "api_key", ("FACTORY_API_KEY", "FACTORY_BASE_URL")),
        ("codex", "api_key", ("OPENAI_API_KEY", "OPENAI_BASE_URL")),
        ("claude", "host_session", ()),
        ("rehearsal", "none", ()),
    ],
)
def test_mode_decides_which_variables_enter(agent_type: str, mode: str, names: tuple[str, ...]) -> None:
    assert AGENTS[AgentType(agent_type)].environment(mode) == names


def test_session_is_lent_where_the_agent_keeps_it() -> None:
    assert AGENTS[AgentType.CLAUDE].session_mount == "/home/worker/.claude"
    assert AuthMode.HOST_SESSION not in AGENTS[AgentType.REHEARSAL].auth_modes
