"""The table of coding agents: which environment and which way of paying each takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.workers.agents.agent import HOME, CodingAgent
from apps.workers.agents.claude_code import ClaudeCodeAgent
from apps.workers.agents.codex import CodexAgent
from apps.workers.agents.factory_droid import FactoryDroidAgent
from apps.workers.agents.rehearsal import RehearsalAgent
from worker_image.contract import AgentType, AuthMode


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRow:
    """One agent.

    Attributes:
        agent: how it is installed and instructed.
        program: the command that must be on the PATH; None for an agent that is part of the base image.
        key: the variable (and the operator's setting) that holds its provider's key; None: it has none.
        url: the variable (and setting) that holds its provider's address; None: it cannot be chosen.
        session: the directory in the home that ``host_session`` mounts; None: a session cannot be lent.

    """

    agent: CodingAgent
    program: str | None = None
    key: str | None = None
    url: str | None = None
    session: str | None = None

    @property
    def auth_modes(self) -> frozenset[AuthMode]:
        """The ways in which it gets a credential."""
        if self.key is None:
            return frozenset({AuthMode.NONE})
        return frozenset({AuthMode.API_KEY} | ({AuthMode.HOST_SESSION} if self.session else set()))

    @property
    def session_mount(self) -> str | None:
        """Where a lent session appears in its container."""
        return None if self.session is None else f"{HOME}/{self.session}"

    def environment(self, auth_mode: str) -> tuple[str, ...]:
        """Return the names of the provider's variables that a container gets in a mode."""
        if auth_mode != AuthMode.API_KEY:
            return ()
        return tuple(name for name in (self.key, self.url) if name is not None)


#: In the order in which a usable one is looked for when nobody says which.
AGENTS: Final[Mapping[AgentType, AgentRow]] = {
    AgentType.CLAUDE: AgentRow(
        agent=ClaudeCodeAgent(),
        program="claude",
        key="ANTHROPIC_API_KEY",
        url="ANTHROPIC_BASE_URL",
        session=".claude",
    ),
    AgentType.FACTORY: AgentRow(
        agent=FactoryDroidAgent(),
        program="droid",
        key="FACTORY_API_KEY",
        url="FACTORY_BASE_URL",
        session=".factory",
    ),
    AgentType.CODEX: AgentRow(
        agent=CodexAgent(), program="codex", key="OPENAI_API_KEY", url="OPENAI_BASE_URL", session=".codex"
    ),
    AgentType.REHEARSAL: AgentRow(agent=RehearsalAgent()),
}
