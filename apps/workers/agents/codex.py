"""Codex."""

from typing import Final

from apps.workers.agents.agent import npm_install, workspace_file
from worker_image.contract import AgentType, instruction_file

VERSION: Final = "0.169.0"


class CodexAgent:
    """OpenAI's agent: an npm package that carries a native program."""

    def get_install_commands(self) -> tuple[str, ...]:
        """Return the installation, and a look at the program, an optional dependency that may be skipped."""
        return (npm_install(f"@openai/codex@{VERSION}"), "codex --version")

    def get_instruction_path(self) -> str:
        """Return the file it reads by itself."""
        return workspace_file(instruction_file(AgentType.CODEX))

    def get_agent_command(self) -> tuple[str, ...]:
        """Return the headless command; its own sandbox cannot start in a container without capabilities."""
        return ("codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox")
