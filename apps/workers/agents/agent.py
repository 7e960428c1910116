"""What every coding agent tells about itself, so that an image and a container can be made for it. Pure."""

from typing import Final, Protocol

WORKSPACE: Final = "/workspace"
HOME: Final = "/home/worker"


class CodingAgent(Protocol):
    """One kind of coding agent, as it is installed and instructed.

    Adding one is a file beside this one and its row in ``AGENTS`` (and, inside the
    worker, a runner with its row in ``RUNNERS``).
    """

    def get_install_commands(self) -> tuple[str, ...]:
        """Return the shell commands that install it, run as root while its image is built."""
        ...

    def get_instruction_path(self) -> str:
        """Return the file in which it looks for its standing orders."""
        ...

    def get_agent_command(self) -> tuple[str, ...]:
        """Return its command for unattended work, without a prompt."""
        ...


def npm_install(package: str) -> str:
    """Return the command that installs one npm package at one version for everybody."""
    return f"npm install -g --no-fund --no-audit {package}"


def workspace_file(name: str) -> str:
    """Return the path of a file in an agent's working directory."""
    return f"{WORKSPACE}/{name}"
