"""The rehearsal agent: our own deterministic offline coder."""

from apps.workers.agents.agent import workspace_file
from worker_image.contract import AgentType, instruction_file


class RehearsalAgent:
    """Part of every worker's image: there is nothing to install and nobody to pay."""

    def get_install_commands(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def get_instruction_path(self) -> str:
        """Return the file that is written for it as for the others."""
        return workspace_file(instruction_file(AgentType.REHEARSAL))

    def get_agent_command(self) -> tuple[str, ...]:
        """Return its command."""
        return ("python3", "-m", "worker_image.rehearsal")
