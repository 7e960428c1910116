"""Claude Code."""

from typing import Final

from apps.workers.agents.agent import npm_install, workspace_file
from worker_image.contract import AgentType, instruction_file

VERSION: Final = "2.1.330"


class ClaudeCodeAgent:
    """Anthropic's agent: an npm package that carries a native program."""

    def get_install_commands(self) -> tuple[str, ...]:
        """Return the installation, and a look at the program, an optional dependency that may be skipped."""
        return (npm_install(f"@anthropic-ai/claude-code@{VERSION}"), "claude --version")

    def get_instruction_path(self) -> str:
        """Return the file it reads by itself."""
        return workspace_file(instruction_file(AgentType.CLAUDE))

    def get_agent_command(self) -> tuple[str, ...]:
        """Return the headless command; the container is the sandbox, and nobody answers prompts."""
        return ("claude", "-p", "--dangerously-skip-permissions")
