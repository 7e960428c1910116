"""Factory Droid."""

from typing import Final

from apps.workers.agents.agent import npm_install, workspace_file
from worker_image.contract import AgentType, instruction_file

VERSION: Final = "0.225.2"

#: The umbrella package asks for a platform package of its own version that was never published.
_PACKAGE: Final = "@factory/cli-linux-$(node -p process.arch)"
_PROGRAM: Final = "/usr/local/bin/droid"
_FROM_NPM: Final = (
    f"{npm_install(f'{_PACKAGE}@{VERSION}')}"
    f' && ln -sf "$(npm root -g)/{_PACKAGE}/bin/droid" {_PROGRAM} && droid --version'
)
#: For hosts that reach the vendor's site and not that package; it offers one version, which must be ours.
_FROM_VENDOR: Final = (
    "curl -fsSL https://app.factory.ai/cli -o /tmp/install-droid && HOME=/tmp/droid sh /tmp/install-droid"
    f" && install -m 0755 /tmp/droid/.local/bin/droid {_PROGRAM} && droid --version"
    f" && {{ droid --version | grep -qwF {VERSION} || {{ echo 'wanted droid {VERSION}' >&2; exit 1; }}; }}"
)


class FactoryDroidAgent:
    """Factory's agent: one native program."""

    def get_install_commands(self) -> tuple[str, ...]:
        """Return the pinned package, or else the vendor's installer."""
        return (f"{{ {_FROM_NPM}; }} || {{ {_FROM_VENDOR}; }}",)

    def get_instruction_path(self) -> str:
        """Return the file it reads by itself."""
        return workspace_file(instruction_file(AgentType.FACTORY))

    def get_agent_command(self) -> tuple[str, ...]:
        """Return the headless command; the container is the sandbox."""
        return ("droid", "exec", "--skip-permissions-unsafe")
